/** Two policies ask for what can't be had together. The message goes to the caller. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
}
