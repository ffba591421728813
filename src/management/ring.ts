/** A queue of fixed size that costs one store a value; when it is full the oldest value gives way. */
export interface Ring<T> {
  /** @returns whether another one was lost for it */
  push(value: T): boolean;
  shift(): T | undefined;
  size(): number;
}

export function createRing<T>(most: number): Ring<T> {
  const slots: (T | undefined)[] = [];
  let first = 0;
  let size = 0;

  return {
    push(value) {
      slots[(first + size) % most] = value;
      if (size < most) {
        size += 1;
        return false;
      }
      first = (first + 1) % most;
      return true;
    },
    shift() {
      if (size === 0) return undefined;
      const value = slots[first];
      slots[first] = undefined;
      first = (first + 1) % most;
      size -= 1;
      return value;
    },
    size: () => size,
  };
}
