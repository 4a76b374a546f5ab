// The two questions that the page asks. Each resolves once a person has answered.

const byId = (id) => document.getElementById(id);

/** The token that is typed; `refused` says what was wrong with the one before. */
export function askToken(refused) {
  const [dialog, input, why] = [byId("ask-token"), byId("token"), byId("token-refused")];
  why.hidden = !refused;
  why.textContent = refused;
  input.value = "";
  dialog.showModal();
  input.focus();
  return new Promise((answer) => {
    // The page can do nothing without one, so the question stays.
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => (input.value ? answer(input.value.trim()) : dialog.showModal());
  });
}

/** Whether a clip is to be deleted. */
export function askToDelete(prompt) {
  const dialog = byId("ask-delete");
  byId("delete-what").textContent = prompt;
  dialog.returnValue = "keep";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.onclose = () => answer(dialog.returnValue === "delete");
  });
}
