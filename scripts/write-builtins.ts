/** Writes the table of `docs/builtins.md`, which a test compares with what compiled policy imports. */
import { readFileSync, writeFileSync } from 'node:fs';

import { buildTable } from './builtins-table.ts';

const paper = new URL('../docs/builtins.md', import.meta.url);
const [before] = readFileSync(paper, 'utf8').split(/^\| \| the compiled/m);
writeFileSync(paper, `${before}${await buildTable()}\n`);
