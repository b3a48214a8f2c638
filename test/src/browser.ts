import { type Browser, launch, type Page } from 'puppeteer-core';
import { findProgram } from './harness.js';
import { paced } from './pace.js';

/** Debian's Chromium; a test without it is skipped, or fails on CI. */
export const CHROMIUM = findProgram('chromium');

/** A real Chromium, without a window. */
export async function withBrowser(run: (browser: Browser) => Promise<void>): Promise<void> {
  if (!('path' in CHROMIUM)) throw new Error(CHROMIUM.skip);
  const browser = await launch({
    executablePath: CHROMIUM.path,
    timeout: paced(30_000),
    protocolTimeout: paced(90_000),
    // A container's root has no user namespaces to make a sandbox of.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
  });
  try {
    await run(browser);
  } finally {
    await browser.close();
  }
}

/** A page that notes every request to another host, and every error. */
export async function openPage(
  browser: Browser,
  url: string,
  look: { width?: number; height?: number; dark?: boolean; language?: string } = {},
): Promise<{ page: Page; elsewhere: string[]; errors: string[] }> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(paced(30_000));
  const { width = 1180, height = 900, dark = false, language = 'en' } = look;
  await page.setViewport({ width, height, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]);
  const key = JSON.stringify('ecavg-language');
  await page.evaluateOnNewDocument(
    `if (localStorage.getItem(${key}) === null) localStorage.setItem(${key}, ${JSON.stringify(language)})`,
  );
  const elsewhere: string[] = [];
  const errors: string[] = [];
  page.on('request', (r) => {
    if (!r.url().startsWith(url) && !r.url().startsWith('data:')) elsewhere.push(r.url());
  });
  page.on('pageerror', (e) => errors.push(String(e)));
  await page.goto(url);
  return { page, elsewhere, errors };
}
