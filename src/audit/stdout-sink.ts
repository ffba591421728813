/**
 * Audit events as JSON lines on standard output, where a container's log collector takes them.
 *
 * Neither a slow reader nor a full pipe may stop the event loop, and no thread pool may be paid for each line: a pipe gets
 * the lines of one turn of the event loop in one write that does not block; a file gets the same, written at once, by
 * pino's destination.
 */
import { fstatSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

import { destination } from 'pino';

import type { AdminEvent, AuditEvent, ShadowEvent } from '../types.ts';
import type { RecordObserver } from './record.ts';

export interface AuditSink {
  readonly observe: RecordObserver;
  /** What a shadow would have decided otherwise. */
  readonly observeShadow: (event: ShadowEvent) => void;
  /** What operators changed. */
  readonly observeAdmin: (event: AdminEvent) => void;
  /** Waits until everything is written, at most two seconds. Nothing may be observed afterwards. */
  close(): Promise<void>;
  /** For a process that is about to crash: writes what this turn of the event loop gathered. Never throws. */
  flushNow(): void;
}

/** Where lines go: pino's destination and a socket both are this. */
export interface LineStream {
  write(text: string): unknown;
}

const standardOutput = 1;
/** What a reader that does not read may cost, bytes; what comes behind is lost and counted. */
const mostBuffered = 64 * 1024 * 1024;
const closeMs = 2000;

/** @param onFailure told of each event that could not be written, so that it can be counted */
export function createStdoutSink(onFailure: (error: unknown) => void): AuditSink {
  const output = openStandardOutput(onFailure);
  let gathered = '';

  function gather(text: string): void {
    if (gathered === '') setImmediate(flush);
    gathered += text;
  }

  function flush(): void {
    const text = gathered;
    gathered = '';
    if (text === '') return;
    if (output.bufferedBytes() <= mostBuffered) output.write(text);
    else for (const _line of text.matchAll(/\n/g)) onFailure(new Error('standard output is not read'));
  }

  return {
    observe: createAuditObserver({ write: gather }, onFailure),
    observeShadow: createLineWriter('shadow', { write: gather }, onFailure),
    observeAdmin: createLineWriter('admin', { write: gather }, onFailure),
    async close() {
      flush();
      const late = new Promise<void>((resolve) => setTimeout(resolve, closeMs).unref());
      await Promise.race([output.end(), late]);
    },
    flushNow() {
      try {
        writeSync(standardOutput, gathered);
      } catch (error) {
        onFailure(error);
      }
      gathered = '';
    },
  };
}

interface Output extends LineStream {
  /** Bytes that the reader has not taken yet. */
  bufferedBytes(): number;
  end(): Promise<void>;
}

function openStandardOutput(onFailure: (error: unknown) => void): Output {
  const kind = fstatSync(standardOutput);
  if (kind.isFIFO() || kind.isSocket()) {
    const pipe = new Socket({ fd: standardOutput, readable: false });
    pipe.on('error', onFailure);
    return {
      write: (text) => pipe.write(text),
      bufferedBytes: () => pipe.writableLength,
      end: () => new Promise((resolve) => pipe.once('close', () => resolve()).end()),
    };
  }
  const file = destination({ fd: standardOutput, sync: true });
  file.on('error', onFailure);
  return {
    write: (text) => file.write(text),
    bufferedBytes: () => 0,
    async end() {
      file.flushSync();
    },
  };
}

/**
 * Characters that JSON leaves as they are and a terminal takes for commands (C1 controls), or a reader for line ends.
 * What stands in a line was chosen by callers too: names of models, subjects.
 */
const unprintable = /[\u007f-\u009f\u2028\u2029]/g;

/** The writing half, for any stream. The line says what it is first, which tells it from logs. */
export function createAuditObserver(stream: LineStream, onFailure: (error: unknown) => void): RecordObserver {
  return createLineWriter('audit', stream, onFailure);
}

function createLineWriter(
  name: 'audit' | 'shadow' | 'admin',
  stream: LineStream,
  onFailure: (error: unknown) => void,
): (event: AuditEvent | ShadowEvent | AdminEvent) => void {
  const head = `{"event":"${name}",`;
  return (event) => {
    try {
      const json = escapeUnprintable(JSON.stringify(event));
      stream.write(`${head}${json.slice(1)}\n`);
    } catch (error) {
      onFailure(error);
    }
  };
}

function escapeUnprintable(json: string): string {
  // Nearly every line is ASCII, and to see that takes a twentieth of the search.
  const isPlain = Buffer.byteLength(json) === json.length && !json.includes('\u007f');
  return isPlain ? json : json.replace(unprintable, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
