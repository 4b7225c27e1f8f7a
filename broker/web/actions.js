// Buttons that change something: they ask once more, and say what came of it.

import { post } from "./api.js";
import { h, setText } from "./dom.js";

export function action(context, title, path, done, isHarmless) {
  if (!context.canAct()) return null;
  let armed = false;
  const button = h("button", { type: "button", class: isHarmless ? "" : "danger" }, title);
  button.addEventListener("click", async () => {
    if (!isHarmless && !armed) {
      armed = true;
      setText(button, `Really ${title.toLowerCase()}?`);
      setTimeout(() => {
        armed = false;
        if (!button.disabled) setText(button, title);
      }, 4000);
      return;
    }
    button.disabled = true;
    try {
      const answer = await post(path);
      setText(button, "Done");
      done?.(answer);
    } catch (error) {
      setText(button, error.message);
    }
    setTimeout(() => {
      button.disabled = false;
      setText(button, title);
    }, 2500);
  });
  return button;
}
