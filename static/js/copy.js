// Buttons that copy an example; without script there is nothing to press.

for (const button of document.querySelectorAll("button[data-copy]")) {
  const label = button.querySelector("span");
  const words = label.textContent;
  let resetting = 0;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    label.textContent = button.dataset.copied;
    clearTimeout(resetting);
    resetting = setTimeout(() => (label.textContent = words), 2000);
  });
}
