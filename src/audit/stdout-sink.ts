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

import { type AuditSink, toLine } from './sink.ts';

interface LineStream {
  write(text: string): unknown;
}

const standardOutput = 1;
/** What a reader that does not read may cost, bytes; what comes behind is lost and counted. */
const mostBuffered = 64 * 1024 * 1024;
const closeMs = 2000;

export interface StdoutSink extends AuditSink {
  /** @param line of JSON, with its end */
  writeLine(line: string): void;
}

/** @param onFailure told of each event that could not be written, so that it can be counted */
export function createStdoutSink(onFailure: (error: unknown) => void): StdoutSink {
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
    name: 'stdout',
    write: (recorded) => gather(toLine(recorded)),
    writeLine: gather,
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
