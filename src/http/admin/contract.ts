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
  /** `kept`: from an earlier run, because what is configured could not be loaded. */
  readonly origin: 'configured' | 'kept' | 'none';
  readonly loaded_at: string;
  readonly tests_passed: number;
  /** Why it can't decide at the moment. */
  readonly not_ready?: string | undefined;
  /** A revision that decides for a share of the callers. */
  readonly rollout?: { readonly revision: string; readonly percent: number } | undefined;
  /** Since when what is new waits for a reload: somebody rolled back. */
  readonly held_since?: string | undefined;
  /** Since when there is something new that waits. */
  readonly waiting_since?: string | undefined;
  /** The last change, where it was refused. */
  readonly refused?: RefusedDocument | undefined;
}

export interface RevisionDocument {
  readonly revision: string;
  /** `rollout`: for a share of the callers; `kept`: to go back to. */
  readonly state: 'decides' | 'rollout' | 'kept';
  readonly percent?: number | undefined;
  readonly loaded_at: string;
  readonly tests_passed: number;
  readonly not_ready?: string | undefined;
}

/** A process that serves in the place of the one that answers. */
export interface WorkerDocument {
  readonly worker: number;
  readonly pid: number | undefined;
  readonly started_at: string;
  readonly serving: boolean;
  readonly in_flight: number;
  readonly not_ready: readonly string[];
  readonly resident_bytes: number;
}

/** What a rollback or a rollout came to. */
export interface ChangeDocument {
  readonly policy: string;
  readonly former_revision: string;
  /** That decides now. */
  readonly revision: string;
  readonly rollout?: PolicyDocument['rollout'];
}

/** What the decisions of one policy came to since its revision decides: by code, not by rule or line. */
export interface CoverageDocument {
  readonly name: string;
  readonly revision: string;
  readonly loaded_at: string;
  readonly decisions: Readonly<Record<'allow' | 'deny' | 'error', number>>;
  /** Every code that the policy declares, those that were never given too. */
  readonly codes: readonly { readonly code: string; readonly count: number }[];
  /** Reasons with any other code: the sidecar's own, those of other policies, text that is none. */
  readonly other_reasons: number;
}

export interface ExplainedPolicyDocument {
  readonly name: string;
  readonly engine: string;
  readonly entrypoint: string;
  readonly revision: string | undefined;
  /** Why it can't be explained; the rest is absent then. */
  readonly undecidable?: string;
  readonly interpreter?: {
    readonly defined: boolean;
    readonly error: string | undefined;
    readonly cut: boolean;
  };
  /** As `opallama explain --format json` has them. */
  readonly rules?: readonly unknown[];
  readonly evaluations?: readonly unknown[];
}

export interface ExplanationDocument {
  readonly decision_id: string;
  /** These as in the audit event. */
  readonly time: string;
  readonly principal: string | undefined;
  readonly operation: string | undefined;
  readonly model: string | undefined;
  readonly policy_result: string;
  readonly reasons: readonly string[];
  readonly status: number;
  readonly policies: readonly ExplainedPolicyDocument[];
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
  /** Where there are several. */
  readonly workers?: readonly WorkerDocument[] | undefined;
  /** Where one is configured. */
  readonly shadow?: Omit<ShadowDocument, 'disagreements'> | undefined;
}

/** Where keys come from and whether they are those of now. */
export interface IdentityDocument {
  readonly issuers: readonly {
    readonly issuer: string;
    /** Absent where they were never had. */
    readonly refreshed_at?: string | undefined;
    /** Of the last question, where it failed. */
    readonly error?: string | undefined;
    readonly keys: readonly {
      readonly kid?: string | undefined;
      readonly algorithms: readonly string[];
      /** False: removed, and its grace lasts. */
      readonly published: boolean;
      readonly usable_until: string;
    }[];
    /** Published keys that are not used, and why. */
    readonly ignored: readonly string[];
  }[];
  readonly files: readonly {
    readonly source: string;
    readonly path: string;
    readonly loaded_at: string;
    readonly refused?: { readonly at: string; readonly summary: string } | undefined;
  }[];
}

export interface ReloadDocument {
  readonly policy: string;
  /** `unchanged`: what decides is what lies there. */
  readonly result: 'loaded' | 'unchanged' | 'refused';
  /** That decides now, or is asked now; `none` where a shadow has none. */
  readonly revision: string;
  /** That decided before. */
  readonly former_revision: string;
  /** It decides nothing. */
  readonly shadow?: true;
  readonly rollout?: PolicyDocument['rollout'];
  readonly refused?: RefusedDocument | undefined;
}

/** A policy that is asked beside those that decide, and never listened to. */
export interface ShadowDocument {
  readonly name: string;
  /** Absent while none is loaded. */
  readonly revision?: string | undefined;
  readonly engine: string;
  readonly entrypoint: string;
  readonly path: string;
  readonly sample: number;
  readonly refused?: RefusedDocument | undefined;
  /** Requests by what became of them, since the start. */
  readonly results: Readonly<Record<string, number>>;
  /** The latest requests that it would have decided otherwise, without content, the newest last. */
  readonly disagreements: readonly object[];
}

/** What helps whoever is to find a fault from afar, without a secret: texts of files by their names. */
export interface SupportDocument {
  readonly files: Readonly<Record<string, string>>;
}

/** How much the log tells. */
export interface LogLevelDocument {
  readonly level: string;
  /** To which it goes back with a restart, or when its time is over. */
  readonly configured: string;
  /** When it goes back; absent where it stays. */
  readonly until?: string | undefined;
}

/** What waiting for the requests in flight came to. */
export interface DrainDocument {
  /** False where the grace was over first. */
  readonly drained: boolean;
  readonly in_flight: number;
  readonly waited_ms: number;
}

/** Requests of the audit file. */
export interface AuditDocument {
  readonly since: string;
  readonly until?: string | undefined;
  readonly requests: readonly object[];
  readonly left_out: number;
}

/** Each throws, or rejects with, a `RequestError` for what is not there or can't be done. */
export interface Administration {
  status(): StatusDocument;
  identity(): IdentityDocument;
  policies(): readonly PolicyDocument[];
  /** Those that are kept, the one to go back to behind the one that decides. */
  revisions(policy: string): readonly RevisionDocument[];
  coverage(): Promise<readonly CoverageDocument[]>;
  explain(decisionId: string): Promise<ExplanationDocument>;
  reload(policy: string): Promise<ReloadDocument>;
  /** @param revision to go to; the one before by default */
  rollBack(policy: string, revision: string | undefined): Promise<ChangeDocument>;
  /** @param percent of the callers, 0 to 100 */
  rollOut(policy: string, percent: number): Promise<ChangeDocument>;
  shadow(): ShadowDocument;
  support(): Promise<SupportDocument>;
  /** Requests that the audit file tells of. @param question members of the query, each a text */
  audit(question: Readonly<Record<string, unknown>>): Promise<AuditDocument>;
  logLevel(): LogLevelDocument;
  /** @param time a duration such as `10m`, after which the configured level is back; undefined for not before a restart */
  setLogLevel(level: string, time: string | undefined): LogLevelDocument;
  /** Answers when nothing is in flight any more. */
  drain(): Promise<DrainDocument>;
}
