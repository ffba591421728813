import { isIP } from 'node:net';
import { RequestError } from '../errors.ts';

export interface Head {
  readonly httpVersion: string;
  /** Names and values in turn, as Node gives them: a second `Host` is still there. */
  readonly rawHeaders: readonly string[];
}

export interface HeadRules {
  /** Origins that may call, compared exactly; design: none by default. */
  readonly allowedOrigins: readonly string[];
  /**
   * Names that `Host` may hold beside addresses and `localhost`; undefined where it does not matter because every caller
   * proves who it is. Where anonymous is configured it does: a web page could call by way of DNS rebinding.
   */
  readonly hosts: readonly string[] | undefined;
}

/** @throws RequestError */
export function checkHead(_head: Head, _rules: HeadRules): void {
  throw new Error('not yet');
}

/** @throws RequestError `body_not_allowed` where the head announces a body */
export function checkNoBody(_head: Head): void {
  throw new Error('not yet');
}
