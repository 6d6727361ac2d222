// Shows the copy buttons, which need a script; the text beside each can be copied without it.
for (const button of document.querySelectorAll("button[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  const said = button.nextElementSibling;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.value);
      said.textContent = "Copied";
    } catch {
      // Not over plain HTTP from another machine: there, the browser's own way remains.
      source.focus();
      source.select();
      said.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { said.textContent = ""; }, 4000);
  });
}
