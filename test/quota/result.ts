import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { promisify } from 'node:util';
import type { Weathered } from './storm.js';

/** What a storm has shown. */
export interface Storm extends Pick<Weathered, 'outcomes' | 'leaked' | 'writes' | 'changes' | 'violations'> {
  readonly title: string;
  readonly seconds: number;
}

const written = (count: number): string => count.toLocaleString('en');
const row = (cells: readonly (string | number)[]): string =>
  `| ${cells.map((cell) => (typeof cell === 'number' ? written(cell) : cell)).join(' | ')} |`;
const headings = ['storm: consumptions …', 'asked for', 'granted', 'denied', '503, not counted', '503, unknown', 'writes looked at', 'limits changed', 'units leaked', 'seconds']; // biome-ignore format: a list
const inTotal = (storms: readonly Storm[], what: (storm: Storm) => number): number =>
  storms.reduce((sum, storm) => sum + what(storm), 0);
const askedIn = ({ outcomes }: Storm): number =>
  Object.values(outcomes).reduce((sum, count) => sum + count, 0);

const cells: readonly ((storm: Storm) => number)[] = [
  askedIn,
  ({ outcomes }) => outcomes.granted,
  ({ outcomes }) => outcomes.denied,
  ({ outcomes }) => outcomes.refused,
  ({ outcomes }) => outcomes.unknown,
  ({ writes }) => writes,
  ({ changes }) => changes.done,
  ({ leaked }) => leaked,
  ({ seconds }) => Math.round(seconds),
];

/** Writes down what storms have shown, to be committed: over-grants and other violations first. */
export async function writeResult(
  path: string,
  { seed, factor }: { readonly seed: number; readonly factor: number },
  storms: readonly Storm[],
): Promise<void> {
  const violations = storms.flatMap((storm) => storm.violations.map((each) => `- ${storm.title}: ${each}`));
  const said =
    violations.length === 0
      ? 'Nothing more was granted than counted, and no limit was passed.'
      : '**VIOLATIONS**';
  const lines = [
    '# What the long storms have shown',
    '',
    `Written by \`npm run test:long\` on ${new Date().toISOString().slice(0, 10)}, of ${await version()}, with Node.js ${process.versions.node} on ${cpus().length} cores; \`SEED=${seed} STORM_FACTOR=${factor}\`.`,
    '',
    `${written(inTotal(storms, askedIn))} consumptions in ${storms.length} storms. ${said}`,
    ...(violations.length > 0 ? ['', ...violations] : []),
    '',
    row(headings),
    row(headings.map((_, index) => (index === 0 ? '---' : '--:'))),
    ...storms.map((storm) => row([storm.title, ...cells.map((cell) => cell(storm))])),
    row(['**all**', ...cells.map((cell) => inTotal(storms, cell))]),
    '',
    'Units leak where an answer was lost, a process was killed, or they came back after the end of their period; more of them would be a violation, and any where nothing was disturbed.',
    '',
  ];
  await writeFile(path, lines.join('\n'));
}

/** The commit, where there is one. */
async function version(): Promise<string> {
  const found = await promisify(execFile)('git', ['describe', '--always', '--dirty']).catch(() => undefined);
  return found?.stdout.trim() ?? 'an unknown version';
}
