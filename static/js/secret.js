// Fetches the secret on a click, shows it for as long as the answer says, and wipes it whenever the reader looks away
// for good: the page itself never contains it, so neither cache nor back button can bring it back.

for (const form of document.querySelectorAll("form[data-secret]")) {
  const text = form.querySelector("[data-secret-text]");
  const show = form.querySelector("[data-secret-show]");
  const hide = form.querySelector("[data-secret-hide]");
  const copy = form.querySelector("[data-secret-copy]");
  const status = form.parentElement.querySelector("[data-secret-status]");
  const masked = text.textContent;
  let ticking = 0;

  const wipe = () => {
    clearInterval(ticking);
    const hadFocus = document.activeElement === hide;
    text.textContent = masked;
    hide.hidden = true;
    show.hidden = false;
    if (hadFocus) show.focus();
  };

  const countDown = (seconds) => {
    const hidesAt = performance.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((hidesAt - performance.now()) / 1000);
      if (left <= 0) {
        wipe();
        status.textContent = "";
      } else {
        countdown.textContent = status.dataset.hidesIn.replace("{seconds}", left);
      }
    };
    // Only its first words are announced: a reader of a screen does not need every second.
    status.textContent = status.dataset.hidesIn.replace("{seconds}", seconds);
    const countdown = document.createElement("span");
    countdown.setAttribute("aria-hidden", "true");
    status.replaceChildren(visuallyHidden(status.textContent), countdown);
    tick();
    ticking = setInterval(tick, 1000);
  };

  const fetched = async () => {
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { Accept: "application/json" },
        cache: "no-store",
        redirect: "error",
      });
      const content = await answer.json();
      if (answer.ok) return content;
      if (content.reauthenticate) location.assign(content.reauthenticate);
      else status.textContent = content.message ?? status.dataset.failed;
    } catch {
      status.textContent = status.dataset.failed;
    }
    return null;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const content = await fetched();
    if (content === null) return;
    clearInterval(ticking);
    text.textContent = content.secret;
    show.hidden = true;
    hide.hidden = false;
    hide.focus();
    countDown(content.hide_after);
  });

  hide.addEventListener("click", () => {
    wipe();
    status.textContent = "";
  });

  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const secret = hide.hidden ? (await fetched())?.secret : text.textContent;
    if (!secret) return;
    try {
      await navigator.clipboard.writeText(secret);
      if (hide.hidden) status.textContent = status.dataset.copied;
      else copy.querySelector("span").textContent = status.dataset.copied;
    } catch {
      status.textContent = status.dataset.notCopied;
    }
  });

  addEventListener("pagehide", wipe);
  addEventListener("pageshow", wipe);
}

function visuallyHidden(words) {
  const element = document.createElement("span");
  element.className = "visually-hidden";
  element.textContent = words;
  return element;
}
