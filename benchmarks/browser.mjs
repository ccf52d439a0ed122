/** Times the verification page in Chromium: `node browser.mjs ROUNDS LARGE-FILE`; one JSON object on standard output. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { findChromium } from "../tests/support/chromium.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = pathToFileURL(join(ROOT, "console/verifier/dist/verify.html")).href;
const vector = (name) => join(ROOT, "tests/vectors/receipt", name);
const AT = "2026-11-24T03:00:00";
const [rounds, large] = [Number(process.argv[2]), process.argv[3]];

async function measure(found, folder) {
  const browser = await chromium.launch({
    executablePath: found.path, env: { ...process.env, ...found.env }, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(PAGE);
    await page.setInputFiles("#trust", vector("recorded.cltrust"));
    await page.locator("details > summary").first().click();
    await page.fill("#at", AT);
    /** Milliseconds from the press of the button to the report, in the page's own clock. */
    const verify = async (receipt, file) => {
      await page.setInputFiles("#receipt", receipt);
      await page.setInputFiles("#file", file);
      return page.evaluate(() => new Promise((done) => {
        const report = document.getElementById("report");
        report.replaceChildren();
        const begun = performance.now();
        new MutationObserver((_, observer) => {
          const result = document.getElementById("result");
          if (!result) return;
          observer.disconnect();
          done({ ms: performance.now() - begun, text: result.textContent });
        }).observe(report, { childList: true });
        document.getElementById("verify").click();
      }));
    };
    const changed = readFileSync(vector("recorded-contract.clr"));
    changed[200] ^= 1;
    const forged = join(folder, "forged.clr");
    writeFileSync(forged, changed);
    const refused = await verify(forged, vector("recorded-contract.pdf"));
    if (!refused.text.includes("INVALID")) throw new Error(`a changed receipt was taken: ${refused.text}`);
    const times = [];
    for (let round = 0; round < rounds; round++) {
      const { ms, text } = await verify(vector("recorded-contract.clr"), vector("recorded-contract.pdf"));
      if (!/VALID/.test(text) || /INVALID/.test(text)) throw new Error(`the receipt was refused: ${text}`);
      times.push(ms);
    }
    const hashed = await verify(vector("recorded-contract.clr"), large);
    return { version: browser.version(), times, large: { bytes: statSync(large).size, ms: hashed.ms } };
  } finally {
    await browser.close();
  }
}

const found = findChromium();
if (found.reason) {
  console.log(JSON.stringify({ reason: found.reason }));
} else {
  const folder = mkdtempSync(join(tmpdir(), "clb-"));
  try {
    console.log(JSON.stringify(await measure(found, folder)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
