/** Faults for people: the place in the form that terminals and editors make links of, and the line with a caret below. */
import { formatFault, type PolicyFault } from '../errors.ts';
import { paint } from './output.ts';

/** @param text of the fault's file; undefined where there is none */
export function printFault(fault: PolicyFault, text: string | undefined, colour: 'red' | 'yellow' = 'red'): string {
  const place = [fault.file, fault.row, fault.column].filter((part) => part !== undefined).join(':');
  const line = fault.row === undefined ? undefined : text?.split(/\r?\n/)[fault.row - 1];
  // OPA adds the line to what it says of a fault of syntax.
  const framed =
    line !== undefined && line.trim() !== '' && (fault.column !== undefined || !fault.message.includes('\n'));
  const message = framed ? withoutFrame(fault.message) : fault.message;
  const said = formatFault({ ...fault, message, file: undefined, row: undefined, column: undefined });
  const code = said.slice(0, fault.code.length);
  const head = `${place === '' ? '' : `${paint('bold', place)}: `}${paint(colour, code)}${said.slice(fault.code.length)}\n`;
  if (!framed) return head;
  const number = String(fault.row);
  const caret =
    fault.column === undefined
      ? ''
      : // Tabs stay tabs, or the caret stands elsewhere on terminals where they are wide.
        `${' '.repeat(number.length)} | ${line.slice(0, fault.column - 1).replace(/[^\t]/g, ' ')}${paint(colour, '^')}\n`;
  return `${head}${paint('dim', `${number} |`)} ${line}\n${caret.replace(/^( +\|)/, (bar) => paint('dim', bar))}`;
}

/** OPA repeats the line below faults of syntax, and lists every member there is below one that there is not. */
function withoutFrame(message: string): string {
  if (message.startsWith('undefined ref: ')) return message.replace(/\n.*$/s, '');
  return message.replace(/\n\t.*\n\t *\^$/s, '');
}
