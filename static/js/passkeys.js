// Passkeys (WebAuthn): asks the browser for a new one or for one that is there, and sends the form with what it said.
// The options come from the page, or for signing in from the form's address.

const usable =
  typeof PublicKeyCredential?.parseRequestOptionsFromJSON === "function" &&
  !/^[\d.]+$|^\[/.test(location.hostname); // a passkey belongs to a name, never to an IP address

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button");
  const status = form.querySelector("[data-passkey-status]");

  const options = async () => {
    if (form.dataset.options) return JSON.parse(document.getElementById(form.dataset.options).textContent);
    const answer = await fetch(form.action, { headers: { Accept: "application/json" }, cache: "no-store" });
    return (await answer.json()).request_options;
  };

  const asked = async () => {
    const { publicKey } = await options();
    if (form.dataset.passkey === "get") {
      return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
    }
    // One that is found without a name and confirms its person by itself.
    const selection = { ...publicKey.authenticatorSelection, residentKey: "required", requireResidentKey: true };
    selection.userVerification = "required";
    const wanted = { ...publicKey, authenticatorSelection: selection };
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(wanted) });
  };

  if (!usable) {
    if (!("passkeyOptional" in form.dataset)) status.textContent = status.dataset.unsupported;
    continue;
  }
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    status.textContent = "";
    button.disabled = true;
    try {
      const credential = await asked();
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      status.textContent = status.dataset.failed;
      button.disabled = false;
    }
  });
}
