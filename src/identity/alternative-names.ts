/**
 * The alternative names of a certificate, from the text that `X509Certificate.subjectAltName` gives (Node 26, `node_crypto`:
 * `PrintGeneralName`): `DNS:a.example, URI:spiffe://x/y, DNS:"a\u002c b"`. A name in which anything could be mistaken for
 * the text around it (a comma, a quote, a control character) is written as a JSON string there, since CVE-2021-44532: split
 * at commas, or unquoted by guess, one name could pass for another one.
 */
export interface AlternativeNames {
  /** In lower case: DNS names know none (RFC 4343). */
  readonly dns: readonly string[];
  readonly uri: readonly string[];
}

/** One name, its comma included; what it is not made of can't be skipped, because each match begins where one ended. */
const oneName = /(?<kind>[A-Za-z][A-Za-z ]*):(?:(?<quoted>"(?:[^"\\]|\\.)*")|(?<plain>[^",]*))(?:, |$)/y;

/** @returns undefined where the text is not read to its last character: then none of its names can be trusted */
export function readAlternativeNames(text: string): AlternativeNames | undefined {
  const dns: string[] = [];
  const uri: string[] = [];
  oneName.lastIndex = 0;
  for (let end = 0; end < text.length; end = oneName.lastIndex) {
    const { kind, quoted, plain } = oneName.exec(text)?.groups ?? {};
    const name = quoted === undefined ? plain : unquote(quoted);
    if (kind === undefined || name === undefined) return undefined;
    if (kind === 'DNS') dns.push(name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
    if (kind === 'URI') uri.push(name);
  }
  // A comma with nothing behind it.
  return text.endsWith(', ') ? undefined : { dns, uri };
}

function unquote(text: string): string | undefined {
  try {
    return String(JSON.parse(text));
  } catch {
    return undefined;
  }
}
