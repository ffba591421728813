/**
 * Notices that nothing comes any more. A timer that each frame sets anew would cost a frame as much as all else that is done
 * with it here, so frames only leave a mark and an interval looks whether there is one.
 */

export interface Pause {
  /** Something came: the pause begins again. */
  end(): void;
  stop(): void;
}

/** How finely a pause is told apart: it is noticed within a tenth of its length. */
const looks = 10;

/** @param ms longest pause @param onLong called once, after `ms` to 1.1 `ms` without an `end` */
export function watchPause(ms: number, onLong: () => void): Pause {
  let empty = 0;
  const timer = setInterval(() => {
    empty += 1;
    // The first look may come right behind the last frame.
    if (empty <= looks) return;
    clearInterval(timer);
    onLong();
  }, ms / looks).unref();
  return {
    end() {
      empty = 0;
    },
    stop: () => clearInterval(timer),
  };
}
