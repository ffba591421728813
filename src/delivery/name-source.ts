import type { PolicyConfig } from '../configured/policy.ts';

/** @returns where people look for a policy: the server's address, not the file that its bundle is kept in */
export function nameSource({ path, bundle }: Pick<PolicyConfig, 'path' | 'bundle'>): string {
  return bundle === undefined ? path : `${bundle.url.origin}${bundle.url.pathname}`;
}
