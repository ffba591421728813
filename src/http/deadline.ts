/** The time that a request may take altogether; what its end does changes as the request goes on. */
export interface Deadline {
  isOver(): boolean;
  replace(onOver: () => void): void;
  stop(): void;
}

/**
 * @param ms 0 for none
 * @param onOver what ends the request as long as nothing else was said
 */
export function startDeadline(ms: number, onOver: () => void): Deadline {
  let over = false;
  let act = onOver;
  const expire = (): void => {
    over = true;
    act();
  };
  const timer = ms > 0 ? setTimeout(expire, ms).unref() : undefined;
  return {
    isOver: () => over,
    replace(next) {
      act = next;
    },
    stop: () => clearTimeout(timer),
  };
}
