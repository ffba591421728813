/**
 * A look at something that may change at any time, one at a time. The promise is always that of one that begins after it was
 * asked for: the one under way may be past what changed.
 */
export function createLook(lookOnce: () => Promise<void>): () => Promise<void> {
  let looking: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  return function look(): Promise<void> {
    if (looking !== undefined) {
      next ??= looking.then(() => {
        next = undefined;
        return look();
      });
      return next;
    }
    looking = lookOnce().finally(() => {
      looking = undefined;
    });
    return looking;
  };
}
