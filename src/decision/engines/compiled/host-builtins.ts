/**
 * Built-ins that the host answers, because their result is the decision's and not OPA's to make: one clock reading, and
 * what is random drawn from the decision's id, so that the same recorded input gives the same result again.
 */
import { createHash } from 'node:crypto';

export interface DecisionFacts {
  /** Unix time. */
  readonly nowNs: number;
  /** Never chosen by a caller. */
  readonly id: string;
}

/** Texts of arguments in, text of the result out; undefined where the call has no result. */
export type HostBuiltin = (decision: DecisionFacts, args: readonly string[]) => string | undefined;

export const hostBuiltins: Readonly<Record<string, HostBuiltin>> = {
  // The text of the number, which is the text of `input.now_ns`.
  'time.now_ns': ({ nowNs }) => String(nowNs),
  'rand.intn': (decision, [name = '', most = '']) => drawInteger(decision, name, most),
  'uuid.rfc4122': (decision, [key = '']) => JSON.stringify(drawUuid(decision, key)),
};

/** 0 up to and without `most`, whose sign does not matter (OPA, v1/topdown/numbers.go). */
function drawInteger(decision: DecisionFacts, name: string, most: string): string | undefined {
  const number = /^"/.test(name) && /^-?\d+$/.test(most) ? BigInt(most) : undefined;
  if (number === undefined || BigInt.asIntN(64, number) !== number) return undefined;
  const bound = number < 0n ? -number : number;
  if (bound === 0n) return '0';
  // 128 bits against a bound of 64: no value is likelier than another by more than 2^-64.
  return String(BigInt(`0x${draw(decision, 'rand.intn', `${name} ${bound}`).toString('hex', 0, 16)}`) % bound);
}

/** RFC 9562, version 4. */
function drawUuid(decision: DecisionFacts, key: string): string {
  const bytes = draw(decision, 'uuid.rfc4122', key).subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function draw({ id }: DecisionFacts, builtin: string, key: string): Buffer {
  return createHash('sha256').update(`${id}\0${builtin}\0${key}`).digest();
}
