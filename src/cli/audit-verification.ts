import type { Verification } from '../audit/file/verify.ts';
import { count, paint, printable } from './output.ts';

/** What was found in a log, for people: each finding with the place that editors make a link of. */
export function printVerification(result: Verification, files: number): string {
  const { chain, firstSeq, lastSeq, lines, heads, vouchedSeq, findings, more, notes } = result;
  let text = '';
  for (const { file, line, code, message } of findings) {
    const place = line === undefined ? file : `${file}:${line}`;
    text += `${paint('red', code)} ${printable(place)}: ${printable(message)}\n`;
  }
  if (more > 0) text += `and ${more} more\n`;
  for (const note of notes) text += `note: ${printable(note)}\n`;
  const range = firstSeq === undefined ? '' : `, lines ${firstSeq} to ${lastSeq}`;
  text += `chain ${printable(chain ?? 'unknown')}: ${count(lines, 'line')} in ${count(files, 'file')}${range}`;
  text += `; ${count(heads, 'signed head')}${vouchedSeq === undefined ? '' : `, the last one of line ${vouchedSeq}`}\n`;
  const total = findings.length + more;
  return `${text}${total === 0 ? paint('green', 'in order') : paint('red', count(total, 'finding'))}\n`;
}
