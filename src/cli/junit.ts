/** JUnit's XML, which CI systems read: a suite for each package of tests. */
import type { TestCase } from '../policy/toolchain/protocol.ts';

export function toJunit(cases: readonly TestCase[]): string {
  const suites = Map.groupBy(cases, (each) => each.package);
  const seconds = (some: readonly TestCase[]): string =>
    (some.reduce((total, { durationNs }) => total + durationNs, 0) / 1e9).toFixed(6);
  const numbers = (some: readonly TestCase[]): string => {
    const of = (outcome: TestCase['outcome']): number => some.filter((each) => each.outcome === outcome).length;
    return `tests="${some.length}" failures="${of('fail')}" errors="${of('error')}" skipped="${of('skip')}" time="${seconds(some)}"`;
  };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="opallama test" ${numbers(cases)}>`,
    ...[...suites].flatMap(([name, some]) => [
      `  <testsuite name="${escapeXml(name)}" ${numbers(some)}>`,
      ...some.flatMap((each) => testCase(each, seconds([each]))),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase(test: TestCase, time: string): readonly string[] {
  const { outcome, failedAt, message = '' } = test;
  const row = failedAt?.row ?? test.row;
  const tag = outcome === 'fail' ? 'failure' : 'error';
  const said = failedAt === undefined ? message : `${message}: ${failedAt.text}`;
  return [
    `    <testcase classname="${escapeXml(test.package)}" name="${escapeXml(test.name)}" file="${escapeXml(test.file)}" line="${test.row}" time="${time}">`,
    ...(outcome === 'skip' ? ['      <skipped/>'] : []),
    ...(outcome === 'fail' || outcome === 'error'
      ? [`      <${tag} message="${escapeXml(said)}">${escapeXml(`${test.file}:${row}: ${said}`)}</${tag}>`]
      : []),
    ...(test.output === '' ? [] : [`      <system-out>${escapeXml(test.output)}</system-out>`]),
    '    </testcase>',
  ];
}

/** XML 1.0, sections 2.2 and 2.4: characters that no document may hold, escaped or not, become U+FFFD. */
function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}')
    .replace(/[&<>"'\t\n\r]/g, (character) => `&#${character.codePointAt(0)};`);
}
