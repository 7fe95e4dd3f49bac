// The door: who you are. With a name the server keeps a signed cookie; without one you are a guest.

import { call } from "./api.js";
import { showMe } from "./view.js";

const byId = (id) => document.getElementById(id);
const GUEST = "guest";

export class Door {
  #dialog = byId("door");
  #name = byId("name");
  #error = byId("name-error");
  #named = false;
  #inside = false;
  #enter;

  /** enter() is called each time somebody comes in under a new name. */
  constructor(enter) {
    this.#enter = enter;
    byId("door-form").addEventListener("submit", (event) => this.#login(event));
    byId("as-guest").addEventListener("click", () => this.#asGuest());
    byId("who").addEventListener("click", () => this.#ask());
    this.#dialog.addEventListener("cancel", (event) => {
      if (this.#inside) return;
      event.preventDefault();
      this.#asGuest();
    });
  }

  /** Let in whom the cookie knows, and who chose to be a guest; ask the others. */
  async open() {
    const { data: me } = await call("me");
    this.#named = me.authenticated;
    if (me.authenticated) this.#comeIn(me.name);
    else if (sessionStorage.getItem(GUEST)) this.#comeIn(GUEST);
    else this.#ask();
  }

  #ask() {
    this.#complain("");
    this.#name.value = this.#named ? byId("who-name").textContent : "";
    byId("as-guest").textContent = this.#named ? "Go on without a name" : "Come in without a name";
    byId("enter").textContent = this.#inside ? "Take this name" : "Come in";
    this.#dialog.showModal();
    this.#name.focus();
    this.#name.select();
  }

  async #login(event) {
    event.preventDefault();
    byId("enter").disabled = true;
    try {
      const { data } = await call("login", { name: this.#name.value }, "POST");
      this.#named = true;
      this.#comeIn(data.name);
    } catch (error) {
      this.#complain(error.message);
      this.#name.focus();
    } finally {
      byId("enter").disabled = false;
    }
  }

  async #asGuest() {
    try {
      if (this.#named) await call("logout", {}, "POST");
      this.#named = false;
      sessionStorage.setItem(GUEST, "yes");
      this.#comeIn(GUEST);
    } catch (error) {
      this.#complain(error.message);
    }
  }

  #comeIn(name) {
    this.#inside = true;
    showMe(name);
    this.#dialog.close();
    this.#enter();
  }

  #complain(text) {
    this.#error.textContent = text;
    this.#name.toggleAttribute("aria-invalid", text !== "");
  }
}
