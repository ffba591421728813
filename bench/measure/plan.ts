/** How long each measurement takes. */
export interface Plan {
  /** Of each way, until V8 has compiled what it will: the sidecar's code takes some seconds of load. */
  readonly warmUpMs: number;
  readonly idleMs: number;
  readonly requestRounds: number;
  readonly requestMs: number;
  readonly streamRounds: number;
  /** At once. */
  readonly streams: number;
  /** Of each stream. */
  readonly frames: number;
  /** Rounds of requests, and half as many of streams, that come before those that count. */
  readonly settlingRounds: number;
  readonly firstTokenRounds: number;
  readonly firstTokenMs: number;
  readonly profileMs: number;
  /** Of each kind; 0: starts and memory are not measured. */
  readonly starts: number;
  readonly decisionMs: number;
}

/** Some four minutes. Many short rounds: what disturbs the machine for a second is then in few of them. */
export const full: Plan = {
  warmUpMs: 5000,
  idleMs: 1000,
  requestRounds: 24,
  requestMs: 300,
  streamRounds: 30,
  streams: 16,
  frames: 250,
  settlingRounds: 8,
  firstTokenRounds: 5,
  firstTokenMs: 400,
  profileMs: 2500,
  starts: 3,
  decisionMs: 1500,
};

/** Less than 20 s: says whether something is badly wrong, not more. */
export const quick: Plan = {
  warmUpMs: 300,
  idleMs: 200,
  requestRounds: 3,
  requestMs: 200,
  streamRounds: 2,
  streams: 16,
  frames: 80,
  settlingRounds: 1,
  firstTokenRounds: 2,
  firstTokenMs: 150,
  profileMs: 500,
  starts: 1,
  decisionMs: 200,
};
