/** A rule that refused. `code` is the stable code of docs/spec; `detail` is for people. */
export class Refusal extends Error {
  constructor(code, detail = "", field = "") {
    super(field ? `${field}: ${detail}` : detail || code);
    this.name = "Refusal";
    this.code = code;
    this.detail = detail;
    this.field = field;
  }
}

export function refuse(code, detail = "", field = "") {
  throw new Refusal(code, detail, field);
}

/** Run `work`; what it refuses for any reason but those in `keep` becomes `code`. */
export function as(code, work, keep = []) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal && !keep.includes(error.code)) {
      throw new Refusal(code, error.detail || error.message, error.field);
    }
    throw error;
  }
}
