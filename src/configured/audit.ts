/** Where audit lines are kept, as configured. */
import type { KeyObject } from 'node:crypto';

/** The file that audit lines are kept in. Paths are absolute. */
export interface AuditFileConfig {
  readonly path: string;
  /** `strict`: a request goes on once its line is on disk. */
  readonly durability: 'async' | 'strict';
  /** What becomes of requests while the file can't be written. */
  readonly onFailure: 'refuse' | 'continue';
  /** `every` in ms; 0: by size alone. */
  readonly rotate: { readonly size: number; readonly every: number };
  /** In ms and bytes; 0: for ever, and all. */
  readonly keep: { readonly forMs: number; readonly bytes: number };
  readonly heads: AuditHeadsConfig | undefined;
}

/** How ends of the chain are vouched for, and where that is kept. */
export interface AuditHeadsConfig {
  /** Private, Ed25519. */
  readonly key: KeyObject;
  /** Where it came from, for `--print-config`. */
  readonly source: { readonly member: 'key_env' | 'key_file'; readonly value: string };
  /** ms */
  readonly every: number;
  readonly stdout: boolean;
  readonly file: string | undefined;
  readonly url: URL | undefined;
  /** Sent to `url` as a bearer token. */
  readonly token: string | undefined;
  readonly tokenSource: { readonly member: 'token_env' | 'token_file'; readonly value: string } | undefined;
}
