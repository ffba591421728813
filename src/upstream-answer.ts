/** What of the upstream's answer is read by whoever hands it on. */

/** By name in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | undefined>>;

/** An answer whose head has come. Bytes that come before `read` wait; it is asked for in the same turn of the event loop. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  /** All of it is here, as is an answer that came in one piece. */
  readonly isComplete: boolean;
  readonly isPaused: boolean;
  /** To be called once. Tells at once what has come already. */
  read(reader: AnswerReader): void;
  /** Leaves what comes next in the connection, so that the upstream has to wait. */
  pause(): void;
  resume(): void;
  /** Closes the connection where the answer is not complete: Ollama stops to generate. The reader is told no more. */
  destroy(): void;
}

export interface AnswerReader {
  onData(chunk: Buffer): void;
  /** It was whole, by its length or its last chunk. */
  onEnd(): void;
  /** It broke off. */
  onError(): void;
}
