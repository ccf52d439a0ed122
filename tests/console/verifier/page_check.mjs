/** The page in a real Chromium; run by test_page.py as `node --test page_check.mjs`. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, openSync, ftruncateSync, closeSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { findChromium } from "../../support/chromium.mjs";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PAGE = join(ROOT, "console/verifier/dist/verify.html");
const VECTORS = join(ROOT, "tests/vectors/receipt");
const HUGE = process.env.CASELEDGER_HUGE === "1";
const vector = (name) => join(VECTORS, name);
const found = findChromium();
const skip = found.reason ? { skip: found.reason } : {};
let browser;
let folder;

before(async () => {
  if (found.reason) return;
  folder = mkdtempSync(join(tmpdir(), "clp-"));
  browser = await chromium.launch({
    executablePath: found.path, env: { ...process.env, ...found.env },
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
});

after(async () => {
  await browser?.close();
  if (folder) rmSync(folder, { recursive: true });
});

/** A fresh page that notes every request and every message of the console. */
async function open({ width = 1000 } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 800 }, locale: "zh-CN" });
  const page = await context.newPage();
  const requests = [];
  const complaints = [];
  await context.route("**/*", (route) => {
    const url = route.request().url();
    requests.push(url);
    return url.startsWith("file:") || url.startsWith("blob:") ? route.continue() : route.abort();
  });
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(pathToFileURL(PAGE).href);
  return { page, requests, complaints, context };
}

async function verify(page, { receipt = "recorded-contract.clr", trust = "recorded.cltrust", file = "recorded-contract.pdf" } = {}) {
  const full = (name) => (name.startsWith("/") ? name : vector(name));
  await page.setInputFiles("#receipt", full(receipt));
  await page.setInputFiles("#trust", full(trust));
  if (file) await page.setInputFiles("#file", full(file));
  await page.locator("details > summary").first().click();
  await page.fill("#at", "2026-11-24T03:00:00");
  await page.click("#verify");
  await page.waitForSelector("#result", { timeout: 300_000 });
}

const verdicts = (page) =>
  page.$$eval("li[data-name]", (items) => items.map(({ dataset: d }) => [d.name, d.status, d.code].join(" ")));

test("a valid receipt verifies, line by line as on the command line", skip, async () => {
  const { page, complaints, context } = await open();
  await verify(page);
  assert.match(await page.textContent("#result"), /VALID 核验通过/);
  const at = await page.evaluate(() => Date.parse(document.getElementById("at").value) / 1000);
  const cli = execFileSync(process.execPath, [
    join(ROOT, "console/verifier/cli.mjs"), vector("recorded-contract.clr"), vector("recorded-contract.pdf"), "--trust",
    vector("recorded.cltrust"), "--at", String(at), "--json",
  ]);
  const report = JSON.parse(cli);
  assert.deepEqual(await verdicts(page), report.verdicts.map((v) => [v.name, v.status, v.code].join(" ")));
  assert.ok((await page.textContent("#report")).includes(report.facts.trustFingerprint));
  assert.match(await page.textContent("#disclaimer"), /不说明内容是否真实，也不代替法院的认定/);
  assert.match(await page.textContent("#unchecked"), /保管流转.*来源/s);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("one changed byte is found and named, in the file and in the receipt", skip, async () => {
  const { page, context } = await open();
  const changed = (name, at) => {
    const bytes = readFileSync(vector(name));
    bytes[at] ^= 1;
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  await verify(page, { file: changed("recorded-contract.pdf", 1000) });
  assert.match(await page.textContent("#result"), /INVALID 核验不通过/);
  assert.ok((await verdicts(page)).includes("content FAIL ContentMismatch"));
  assert.match(await page.textContent("#report"), /文件与存证时不同/);
  await page.setInputFiles("#file", vector("recorded-contract.pdf"));
  await page.setInputFiles("#receipt", changed("recorded-contract.clr", 200));
  await page.click("#verify");
  await page.waitForFunction(() => /收据被改动/.test(document.getElementById("report").textContent));
  await context.close();
});

test("no request leaves the page, not even one that a script asks for", skip, async () => {
  const { page, requests, context } = await open();
  await verify(page);
  await page.click("#language");
  assert.deepEqual(requests.filter((url) => !url.startsWith("blob:")), [pathToFileURL(PAGE).href]);
  const refused = await page.evaluate(async () => {
    const image = () => new Promise((done) => {
      const picture = new Image();
      picture.onload = () => done("loaded");
      picture.onerror = () => done("refused");
      picture.src = "http://127.0.0.1:9/x.png";
    });
    const fetched = await fetch("http://127.0.0.1:9/").then(() => "answered", () => "refused");
    const beacon = await new Promise((done) => {
      document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective), { once: true });
      navigator.sendBeacon("http://127.0.0.1:9/", "x");
    });
    return [fetched, await image(), beacon];
  });
  assert.deepEqual(refused, ["refused", "refused", "connect-src"]);
  assert.deepEqual(requests.filter((url) => url.startsWith("http")), [], "stopped by the policy, before the network");
  await context.close();
});

test("the language changes with everything that is shown", skip, async () => {
  const { page, context } = await open();
  await verify(page);
  await page.click("#language");
  assert.equal(await page.getAttribute("html", "lang"), "en");
  assert.match(await page.textContent("#result"), /Result: VALID Verified/);
  const rest = (await page.innerText("body")).replace("中文", "").replace("开发联盟", "");
  assert.equal(/[\u4e00-\u9fff]/.test(rest), false, rest);
  await page.click("#language");
  assert.match(await page.textContent("#result"), /核验通过/);
  await context.close();
});

test("it is worked by keyboard alone, and spoken", skip, async () => {
  const { page, context } = await open();
  await page.setInputFiles("#receipt", vector("made-none.clr"));
  const order = [];
  for (let i = 0; i < 9; i++) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName));
  }
  assert.deepEqual(order, ["language", "receipt", "trust", "file", "statement", "sheet", "SUMMARY", "verify", "clear"]);
  await page.focus("#verify");
  await page.keyboard.press("Enter");
  assert.match(await page.textContent("#status"), /请先选择/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "trust");
  await page.setInputFiles("#trust", vector("made-none.cltrust"));
  await page.focus("#verify");
  await page.keyboard.press("Space");
  await page.waitForSelector("#result");
  assert.equal(await page.evaluate(() => document.activeElement.id), "result");
  assert.equal(await page.getAttribute("#status", "aria-live"), "polite");
  assert.match(await page.textContent("#status"), /结论/);
  for (const id of ["receipt", "trust", "file", "statement", "sheet", "at", "case"]) {
    assert.ok((await page.locator(`label[for=${id}]`).textContent()).trim(), id);
  }
  await context.close();
});

test("files dropped together find their places", skip, async () => {
  const { page, context } = await open();
  const names = ["recorded.cltrust", "recorded-contract.pdf", "recorded-contract.clr"];
  const data = names.map((name) => [name, readFileSync(vector(name)).toString("base64")]);
  await page.evaluate((files) => {
    const transfer = new DataTransfer();
    for (const [name, content] of files) {
      transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
    }
    document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, data);
  assert.match(await page.textContent("#receipt-name"), /recorded-contract\.clr/);
  await page.click("#verify");
  await page.waitForSelector("#result");
  assert.ok((await verdicts(page)).includes("content PASS Ok"));
  await context.close();
});

test("at 360 pixels nothing sticks out", skip, async () => {
  const { page, context } = await open({ width: 360 });
  await verify(page);
  await page.evaluate(() => document.querySelectorAll("details").forEach((node) => (node.open = true)));
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(widths[0] <= widths[1], String(widths));
  if (process.env.CASELEDGER_SHOTS) await page.screenshot({ path: join(process.env.CASELEDGER_SHOTS, "narrow.png"), fullPage: true });
  await context.close();
});

/** Memory of the fullest renderer, in MiB: what it holds alone, from /proc. */
function rendererMemory(root) {
  let most = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!command.includes("--type=renderer") || !command.startsWith(root)) continue;
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
      const own = [...rollup.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB/gm)].reduce((sum, [, kib]) => sum + Number(kib), 0);
      most = Math.max(most, own / 1024);
    } catch {
      // it ended meanwhile
    }
  }
  return most;
}

test(`a file of ${HUGE ? "2 GiB" : "96 MiB"} is hashed in a tab under 300 MB`, skip, async () => {
  const { page, context } = await open();
  const path = join(folder, "large.bin");
  const size = HUGE ? 2 ** 31 : 96 << 20;
  const descriptor = openSync(path, "w");
  ftruncateSync(descriptor, size);
  closeSync(descriptor);
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, rendererMemory(found.path))), 500);
  const started = performance.now();
  await page.setInputFiles("#receipt", vector("recorded-contract.clr"));
  await page.setInputFiles("#trust", vector("recorded.cltrust"));
  await page.setInputFiles("#file", path);
  await page.evaluate(() => {
    window.shown = new Set();
    const bar = document.getElementById("progress");
    const spoken = document.getElementById("status");
    setInterval(() => bar.hidden || window.shown.add(bar.value), 50);
    new MutationObserver(() => window.shown.add(spoken.textContent)).observe(spoken, { childList: true });
  });
  await page.click("#verify");
  await page.waitForSelector("#result", { timeout: 1_200_000 });
  clearInterval(watch);
  const shown = await page.evaluate(() => [...window.shown]);
  assert.ok(shown.filter((value) => value > 0 && value < 100).length >= (HUGE ? 20 : 3), `progress: ${shown}`);
  assert.ok(shown.filter((value) => /^正在计算 \d+%$/.test(value)).length >= (HUGE ? 8 : 3), `spoken: ${shown}`);
  assert.ok((await verdicts(page)).includes("content FAIL ContentMismatch"));
  const compared = await page.textContent('li[data-name="content"]');
  assert.ok(compared.includes(String(size)), compared);
  console.log(`${size} bytes in ${((performance.now() - started) / 1000).toFixed(1)} s, at most ${most.toFixed(0)} MiB`);
  assert.ok(most > 10 && most < 286, `${most} MiB`);
  await context.close();
});
