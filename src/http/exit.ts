/** How a request ended whose answer was passed on. */
import type { Exit } from '../audit/record.ts';
import type { DeliveryEnd } from '../stream/deliver.ts';
import type { Tap } from '../stream/tap.ts';

/**
 * Read when the event is made. Made out here, so that what waits for its event holds nothing else of the request.
 *
 * @param status that was answered
 * @param tap of an answer that says counts
 */
export function createExit(status: number, end: DeliveryEnd, tap: Tap | undefined): () => Exit {
  return () => describeEnd(status, end, tap);
}

/** A connection that the sidecar cut when its time was over looks from here as if the client had left. */
export function blameShutdown(exit: Exit | (() => Exit)): Exit {
  const ended = typeof exit === 'function' ? exit() : exit;
  if (ended.error !== 'client_closed_request') return ended;
  // There was no answer yet, and 503 is what it would have been.
  if (ended.status === 499) return { ...ended, outcome: 'error', status: 503, error: 'shutting_down' };
  return { ...ended, outcome: 'incomplete', error: 'shutting_down' };
}

function describeEnd(status: number, end: DeliveryEnd, tap: Tap | undefined): Exit {
  if (tap === undefined) {
    if (end === 'client_left') return { outcome: 'aborted', status, error: 'client_closed_request' };
    return end === 'whole' ? { outcome: 'complete', status } : { outcome: 'incomplete', status, error: end };
  }
  const { usage, finishReason, ended, failed } = tap.report();
  const told = { status, usage, finishReason };
  // Some clients close as soon as they have read the last frame, or one that tells of an error, before the last chunk.
  if (end === 'client_left' && !ended && !failed)
    return { ...told, outcome: 'aborted', error: 'client_closed_request' };
  if (end !== 'whole' && end !== 'client_left') return { ...told, outcome: 'incomplete', error: end };
  if (failed) return { ...told, outcome: 'error' };
  return { ...told, outcome: ended ? 'complete' : 'incomplete' };
}
