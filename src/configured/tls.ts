/** Certificates, as configured and read. */

/** `cert`: the own certificate and those that signed it; `key`: its private key; `ca`: who may vouch for the peer. */
export type TlsPart = 'cert' | 'key' | 'ca';

/** PEM that was checked. */
export interface TlsMaterial {
  /** For the options of a server or a connection, as they are; a part that is not configured is not there. */
  readonly parts: Readonly<Partial<Record<TlsPart, Buffer>>>;
  /** Of the own certificate, for people. */
  readonly subject: string | undefined;
  /** When the own certificate expires, Unix time. */
  readonly expiresMs: number | undefined;
}

/** Where the parts come from, absolute paths, so that they can be read again. */
export type TlsFiles = Readonly<Record<TlsPart, string | undefined>>;

export interface ListenTls {
  readonly files: TlsFiles;
  readonly material: TlsMaterial;
  /** Whether a caller must present a certificate; undefined where none is asked for. */
  readonly clientAuth: 'require' | 'request' | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface UpstreamTls {
  readonly files: TlsFiles;
  readonly material: TlsMaterial;
  /** The name that the upstream's certificate must have, in the place of the URL's host. */
  readonly serverName: string | undefined;
}
