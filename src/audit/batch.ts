/**
 * Work that belongs to a request that has ended, done for several requests at once: to put an event together and to count
 * it costs a third as much in a row as between two sockets.
 */

export interface Batch {
  /** To be done within `delayMs`, in order. */
  add(task: () => void): void;
  /** Does what is waiting, now: before metrics are read, and before the process ends. */
  drain(): void;
}

/**
 * @param options.delayMs longest time that a task waits
 * @param options.most as many tasks are done at once without waiting; bounds what a burst holds
 * @param options.onError told of a task that throws; the others are done all the same
 */
export function createBatch(options: {
  readonly delayMs: number;
  readonly most: number;
  readonly onError: (error: unknown) => void;
}): Batch {
  let tasks: Array<() => void> = [];
  let timer: NodeJS.Timeout | undefined;

  function drain(): void {
    clearTimeout(timer);
    timer = undefined;
    const waiting = tasks;
    tasks = [];
    for (const task of waiting) {
      try {
        task();
      } catch (error) {
        options.onError(error);
      }
    }
  }

  return {
    drain,
    add(task) {
      tasks.push(task);
      if (tasks.length >= options.most) drain();
      else timer ??= setTimeout(drain, options.delayMs);
    },
  };
}
