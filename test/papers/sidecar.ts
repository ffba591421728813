/** A directory with a sidecar at work, as papers for operators take it for granted. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../docs/papers.ts';
import type { Place } from './place.ts';

/** Shell that makes it. */
export function sidecar(place: Place): string {
  const script = readFileSync(join(root, 'test/papers/sidecar.fixture.sh'), 'utf8');
  return place.translate(script);
}

/** `kubectl logs` alone: what a pod's sidecar would have printed. */
export const standIns = { kubectl: 'test "$1" = logs && exec cat audit.jsonl' };
