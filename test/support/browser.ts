import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { atEnd } from './world.js';

/**
 * Starts the Chromium of the PATH; it ends with the test. Null where there is none: a test is then skipped, but not in CI, which
 * installs one.
 */
export async function startBrowser(): Promise<Browser | null> {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const executablePath = folders.map((folder) => join(folder, 'chromium')).find((path) => existsSync(path));
  if (!executablePath) {
    if (process.env.CI) throw new Error('chromium is not on the PATH');
    return null;
  }
  const browser = await chromium.launch({ executablePath });
  atEnd(() => browser.close());
  return browser;
}
