/** What the admin API tells and does, as far as the listener knows: the documents on the wire, and who makes them. */

/** A change that did not take place. */
export interface RefusedDocument {
  readonly at: string;
  readonly summary: string;
  /** `file:row:column: code: message` */
  readonly faults: readonly string[];
}

export interface PolicyDocument {
  readonly name: string;
  readonly revision: string;
  readonly engine: string;
  readonly entrypoint: string;
  readonly path: string;
  /** `directory`, `bundle`, or `none` where nothing is read here. */
  readonly kind: string;
  readonly loaded_at: string;
  readonly tests_passed: number;
  /** Why it can't decide at the moment. */
  readonly not_ready?: string | undefined;
  /** The last change, where it was refused. */
  readonly refused?: RefusedDocument | undefined;
}

export interface StatusDocument {
  readonly version: string;
  readonly started_at: string;
  readonly uptime_s: number;
  readonly in_flight: number;
  readonly ready: boolean;
  readonly not_ready: readonly string[];
  readonly upstream: string;
  readonly listeners: Readonly<Record<string, string>>;
  readonly policies: readonly PolicyDocument[];
}

export interface ReloadDocument {
  readonly policy: string;
  /** `unchanged`: what decides is what lies there. */
  readonly result: 'loaded' | 'unchanged' | 'refused';
  /** That decides now. */
  readonly revision: string;
  /** That decided before. */
  readonly former_revision: string;
  readonly refused?: RefusedDocument | undefined;
}

/** Each throws, or rejects with, a `RequestError` for what is not there or can't be done. */
export interface Administration {
  status(): StatusDocument;
  policies(): readonly PolicyDocument[];
  reload(policy: string): Promise<ReloadDocument>;
}
