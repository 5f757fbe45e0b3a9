// Fetches the secret on a click, shows it for as long as the answer says, and wipes it whenever the reader looks away
// for good: the page itself never contains it, so neither cache nor back button can bring it back.

for (const form of document.querySelectorAll("form[data-secret]")) {
  const text = form.querySelector("[data-secret-text]");
  const show = form.querySelector("[data-secret-show]");
  const hide = form.querySelector("[data-secret-hide]");
  const copy = form.querySelector("[data-secret-copy]");
  const status = form.parentElement.querySelector("[data-secret-status]");
  const masked = text.textContent;
  const label = copy.querySelector("span");
  const copyWords = label.textContent;
  let ticking = 0;
  let resetting = 0;
  let tick = () => {};
  let asking = null; // the request on its way, which showing and copying share: it is one showing, and one entry
  let aborter = new AbortController();

  const resetCopy = () => {
    clearTimeout(resetting);
    label.textContent = copyWords;
  };

  const wipe = () => {
    clearInterval(ticking);
    tick = () => {};
    resetCopy();
    const hadFocus = document.activeElement === hide;
    text.textContent = masked;
    hide.hidden = true;
    show.hidden = false;
    if (hadFocus) show.focus();
  };

  const countDown = (seconds) => {
    // By whichever clock is first: the wall's goes on while the machine sleeps, the other cannot be set back.
    const began = { wall: Date.now(), steady: performance.now() };
    tick = () => {
      const passed = Math.max(Date.now() - began.wall, performance.now() - began.steady);
      const left = Math.ceil(seconds - passed / 1000);
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

  const fetched = () => (asking ??= ask().finally(() => (asking = null)));

  const ask = async () => {
    aborter = new AbortController();
    const { signal } = aborter;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { Accept: "application/json" },
        cache: "no-store",
        redirect: "error",
        signal,
      });
      const content = await answer.json();
      if (answer.ok) return content;
      const proveIt = content.sign_in ?? content.reauthenticate;
      if (proveIt) location.assign(proveIt);
      else status.textContent = content.message ?? status.dataset.failed;
    } catch {
      if (!signal.aborted) status.textContent = status.dataset.failed;
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
    let refused = false;
    const secret = async () => {
      const found = hide.hidden ? (await fetched())?.secret : text.textContent;
      refused = !found;
      return found ?? Promise.reject(new Error("There is no secret to copy."));
    };
    try {
      await write(secret);
    } catch {
      // Where the secret was not given out, the reason stands there already.
      if (!refused) status.textContent = status.dataset.notCopied;
      return;
    }
    // While the key is shown, the status counts down; the button says it then, for a moment.
    if (hide.hidden) {
      status.textContent = status.dataset.copied;
    } else {
      label.textContent = status.dataset.copied;
      clearTimeout(resetting);
      resetting = setTimeout(resetCopy, 2000);
    }
  });

  document.addEventListener("visibilitychange", () => tick());
  addEventListener("pagehide", () => {
    aborter.abort();
    wipe();
  });
  addEventListener("pageshow", wipe);
}

// Safari allows copying only within the click itself, so the clipboard is given a promise; others may know no such item.
async function write(secret) {
  const asBlob = async () => new Blob([await secret()], { type: "text/plain" });
  if (typeof ClipboardItem === "undefined") return navigator.clipboard.writeText(await secret());
  return navigator.clipboard.write([new ClipboardItem({ "text/plain": asBlob() })]);
}

function visuallyHidden(words) {
  const element = document.createElement("span");
  element.className = "visually-hidden";
  element.textContent = words;
  return element;
}
