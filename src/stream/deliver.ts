/**
 * Hands the upstream's answer to the client as it comes, backpressure included, and ends in exactly one way. An answer of
 * known, small length is gathered and sent at once: that is cheaper, and a death midway is still a whole error answer.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

import { type ErrorCode, RequestError } from '../errors.ts';
import type { UpstreamAnswer } from '../upstream-answer.ts';
import { type BodyWriter, openBody } from './body-writer.ts';
import type { Filter } from './hide-usage.ts';
import { watchPause } from './pause.ts';
import type { Tap } from './tap.ts';

export interface Delivery {
  readonly source: UpstreamAnswer;
  readonly sink: ServerResponse;
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  /** Told of each chunk after it was handed on. */
  readonly tap: Tap | undefined;
  readonly filter: Filter | undefined;
  /** Longest pause between two chunks, ms; 0 for none. */
  readonly idleMs: number;
  readonly onFirstByte: () => void;
  /** What to send before the socket is destroyed, so that a client can tell a cut answer from a whole one. */
  readonly errorFrame: (code: ErrorCode) => Buffer | undefined;
}

/** `whole`, `client_left`, or why it was cut short after bytes had been sent. */
export type DeliveryEnd = 'whole' | 'client_left' | ErrorCode;

export interface DeliveryInProgress {
  /** Rejects with a RequestError where nothing was sent yet, so that an error answer still can be. */
  readonly ended: Promise<DeliveryEnd>;
  /** Ends it from outside, as when the time for the whole request is over. */
  cut(code: ErrorCode): void;
}

/** Largest answer that is gathered, bytes. */
const longestGathered = 256 * 1024;
/** Time that the error frame has to leave before the socket is destroyed all the same, ms. */
const lastWordsMs = 1000;
const lineFeed = 0x0a;

export function deliver(delivery: Delivery): DeliveryInProgress {
  const { source, sink, tap, filter } = delivery;
  const length = Number(source.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  const gathered: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<DeliveryEnd>();
  /** Undefined where it is gathered. */
  let body: BodyWriter | undefined;
  let started = false;
  let ended = false;
  let lastByte = lineFeed;

  // The upstream's pause, not the client's: it does not count while the client is what is waited for, nor for an answer
  // that is here.
  let pause = delivery.idleMs > 0 && !source.isComplete ? watchPause(delivery.idleMs, onLongPause) : undefined;

  sink.once('close', () => settle(sink.writableFinished ? 'whole' : 'client_left'));

  if (length > longestGathered || filter !== undefined) {
    sink.writeHead(delivery.status, delivery.headers);
    body = openBody(sink);
    // A model that loads sends headers long before its first token. Where the first bytes are here already, they go together.
    setImmediate(() => {
      if (!started && !ended) sink.flushHeaders();
    });
  }
  // The client may have left while the upstream was asked.
  if (sink.destroyed) settle('client_left');
  else source.read({ onData, onEnd, onError: () => cut('upstream_died') });
  return { ended: promise, cut };

  function onData(chunk: Buffer): void {
    if (ended) return;
    if (!started) {
      started = true;
      delivery.onFirstByte();
    }
    pause?.end();
    if (body === undefined) gathered.push(chunk);
    else send(body, filter === undefined ? chunk : filter.push(chunk));
    tap?.observe(chunk);
  }

  function onEnd(): void {
    if (ended) return;
    if (body === undefined) {
      sink.writeHead(delivery.status, delivery.headers);
      sink.end(gathered.length === 1 ? gathered[0] : Buffer.concat(gathered));
    } else {
      const rest = filter?.flush();
      if (rest !== undefined) body.write(rest);
      body.end();
    }
    pause?.stop();
  }

  function send(to: BodyWriter, chunk: Buffer): void {
    if (chunk.length === 0) return;
    lastByte = chunk[chunk.length - 1] ?? lastByte;
    if (to.write(chunk)) return;
    source.pause();
    sink.once('drain', () => {
      pause?.end();
      source.resume();
    });
  }

  function onLongPause(): void {
    if (source.isPaused) pause = watchPause(delivery.idleMs, onLongPause);
    else cut('upstream_idle');
  }

  function settle(end: DeliveryEnd): void {
    if (ended) return;
    ended = true;
    pause?.stop();
    if (end !== 'whole') source.destroy();
    resolve(end);
  }

  function cut(code: ErrorCode): void {
    if (ended) return;
    if (sink.writableEnded) {
      // All of it was handed on. Only the time for the whole request ends a client that does not take it.
      if (code !== 'total_timeout') return;
      settle(code);
      sink.destroy();
      return;
    }
    if (!sink.headersSent) {
      ended = true;
      pause?.stop();
      source.destroy();
      reject(new RequestError(code));
      return;
    }
    settle(code);
    sayLastWords(code);
  }

  /** Never a clean end: no last chunk, so that HTTP itself says that the answer was cut. */
  function sayLastWords(code: ErrorCode): void {
    const frame = delivery.errorFrame(code);
    const timer = setTimeout(() => sink.destroy(), lastWordsMs);
    timer.unref();
    if (frame === undefined) {
      sink.destroy();
      return;
    }
    const separator = lastByte === lineFeed ? '' : '\n';
    body?.write(Buffer.concat([Buffer.from(separator), frame]), () => {
      clearTimeout(timer);
      sink.destroy();
    });
  }
}
