import type { ServiceConfig } from './configured/management.ts';
import type { BundleConfig } from './configured/policy.ts';

/** How a bundle is asked for. */
export interface BundlePolling extends Pick<BundleConfig, 'poll' | 'longPoll' | 'timeout' | 'size'> {
  readonly name: string;
  /** Path below the service's URL, plain. */
  readonly resource: string;
}

/** What a service has at a path, got as every bundle is, and with what is shown to the service. */
export function bundleOfService(service: ServiceConfig, polling: BundlePolling): BundleConfig {
  const { url, token, tokenSource, tls } = service;
  const { name, resource, poll, longPoll, timeout, size } = polling;
  const place = new URL(`${url.href.replace(/\/$/, '')}/${resource}`);
  return { url: place, name, token, tokenSource, tls, poll, longPoll, timeout, size };
}

/** Stays below the service's URL, whoever wrote it: no dot segment, no host, no query. */
export function isPlainResource(text: string): boolean {
  return text
    .split('/')
    .every((segment) => /^[A-Za-z0-9._~:@!$&'()*+,;=-]+$/.test(segment) && !/^\.\.?$/.test(segment));
}
