/** An answer as undici hands it over: pushed, and first of all before anybody reads it. */
import type { Dispatcher } from 'undici';

import type { AnswerHeaders, AnswerReader, UpstreamAnswer } from '../upstream-answer.ts';

export class Answer implements UpstreamAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  isComplete = false;
  isPaused = false;
  readonly #controller: Dispatcher.DispatchController;
  #reader: AnswerReader | undefined;
  /** What came before there was a reader: no more than one reading of the connection. */
  #early: Buffer[] = [];
  #failed = false;
  #dropped = false;

  constructor(controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders) {
    this.#controller = controller;
    this.status = status;
    this.headers = headers;
  }

  read(reader: AnswerReader): void {
    this.#reader = reader;
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) reader.onData(chunk);
    if (this.isComplete) reader.onEnd();
    else if (this.#failed) reader.onError();
  }

  pause(): void {
    this.isPaused = true;
    this.#controller.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.#controller.resume();
  }

  destroy(): void {
    this.#dropped = true;
    this.#early = [];
    if (!this.isComplete) this.#controller.abort(new Error('not wanted any more'));
  }

  receive(chunk: Buffer): void {
    if (this.#dropped) return;
    if (this.#reader === undefined) this.#early.push(chunk);
    else this.#reader.onData(chunk);
  }

  end(): void {
    this.isComplete = true;
    if (!this.#dropped) this.#reader?.onEnd();
  }

  fail(): void {
    this.#failed = true;
    if (!this.#dropped) this.#reader?.onError();
  }
}
