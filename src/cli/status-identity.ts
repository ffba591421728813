/** Who is believed, for `opallama status`: issuers with their keys, files of keys, revocations, and what of it is old. */
import { listOf, memberOf, textOf } from './admin-client.ts';
import { count, paint, printable, table } from './output.ts';

/**
 * @param identity of `GET /v1/identity`
 * @returns empty where nothing is had from elsewhere, as with a secret of the environment
 */
export function printIdentity(identity: unknown): string {
  const [issuers, files] = [listOf(identity, 'issuers'), listOf(identity, 'files')];
  if (issuers.length + files.length === 0) return '';
  const notes = [...issuers.flatMap(noteIssuer), ...files.flatMap(noteFile)];
  return [
    `${paint('bold', 'identity')}\n`,
    table([...issuers.flatMap(describeIssuer), ...files.map(describeFile)]),
    ...notes.map((note) => `  ${paint('yellow', note)}\n`),
  ].join('');
}

/** Whether the keys of an issuer could not be had lately, or a file's change was refused. */
export function hasStaleIdentity(identity: unknown): boolean {
  const isOld = (issuer: unknown): boolean => memberOf(issuer, 'error') !== undefined;
  const isRefused = (file: unknown): boolean => memberOf(file, 'refused') !== undefined;
  return listOf(identity, 'issuers').some(isOld) || listOf(identity, 'files').some(isRefused);
}

function describeIssuer(issuer: unknown): readonly (readonly string[])[] {
  const had = textOf(issuer, 'refreshed_at');
  const keys = listOf(issuer, 'keys').map((key) => {
    const usable = memberOf(key, 'published') === true ? 'published' : `removed, until ${textOf(key, 'usable_until')}`;
    return [`    key ${tell(key, 'kid') || 'without a kid'}`, listOf(key, 'algorithms').join(', '), usable];
  });
  return [
    [`  issuer ${tell(issuer, 'issuer')}`, count(keys.length, 'key'), had === '' ? 'never had' : `of ${had}`],
    ...keys,
  ];
}

function describeFile(file: unknown): readonly string[] {
  return [`  ${textOf(file, 'source')}`, tell(file, 'path'), `of ${textOf(file, 'loaded_at')}`];
}

function noteIssuer(issuer: unknown): readonly string[] {
  const name = tell(issuer, 'issuer');
  const ignored = listOf(issuer, 'ignored').map((why) => `${name}: not used: ${printable(String(why))}`);
  if (memberOf(issuer, 'error') === undefined) return ignored;
  const had = textOf(issuer, 'refreshed_at');
  const since = had === '' ? 'and never were: its tokens are refused' : `since; those of ${had} count`;
  return [`${name}: the keys can not be had ${since}: ${tell(issuer, 'error')}`, ...ignored];
}

function noteFile(file: unknown): readonly string[] {
  const refused = memberOf(file, 'refused');
  if (refused === undefined) return [];
  const change = `the change of ${textOf(refused, 'at')} was refused`;
  return [`${textOf(file, 'source')}: ${change}, the former content counts: the file ${tell(refused, 'summary')}`];
}

/** Names of keys and errors are other people's text. */
function tell(document: unknown, name: string): string {
  return printable(textOf(document, name));
}
