// Who is here. No server knows: it is built from what arrives (welcome, joined, hello, here,
// said, left). Somebody with two tabs is two connections and one person.

export class Roster {
  #connections = new Map();

  /** Note that somebody spoke up; true if the person was not here before. */
  see({ conn_id, name, user_id }, now) {
    const key = keyOf({ conn_id, user_id });
    const known = this.#has(key);
    this.#connections.set(conn_id, { conn_id, name, user_id, key, seen: now, doubted: false });
    return !known;
  }

  /** Note that a connection has ended; the person, if this was the last one. */
  leave(conn_id) {
    const gone = this.#connections.get(conn_id);
    this.#connections.delete(conn_id);
    return gone && !this.#has(gone.key) ? gone : null;
  }

  /** Forget all who have not been heard of since `before`; a farewell may get lost. */
  forget(before, except) {
    for (const { conn_id, seen } of this.#connections.values()) {
      if (seen < before && conn_id !== except) this.#connections.delete(conn_id);
    }
  }

  /** We were away: whoever does not speak up before `forgetDoubted` has gone. */
  doubt() {
    for (const connection of this.#connections.values()) connection.doubted = true;
  }

  forgetDoubted() {
    for (const { conn_id, doubted } of this.#connections.values()) if (doubted) this.#connections.delete(conn_id);
  }

  /** The people, by name: [{key, name, connections, self}]. */
  people(ownKey) {
    const people = new Map();
    for (const { key, name, doubted } of this.#connections.values()) {
      const person = people.get(key) ?? { key, name, connections: 0, self: key === ownKey };
      person.connections += doubted ? 0 : 1;
      people.set(key, person);
    }
    return [...people.values()].sort((a, b) => b.self - a.self || a.name.localeCompare(b.name));
  }

  #has(key) {
    for (const connection of this.#connections.values()) if (connection.key === key) return true;
    return false;
  }
}

/** What makes a person: the login, or for guests the connection. */
export function keyOf({ conn_id, user_id }) {
  return user_id || conn_id;
}
