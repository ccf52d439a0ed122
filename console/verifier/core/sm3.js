/** SM3 (GB/T 32905-2016), incremental. */
const IV = [0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e];
const T = new Int32Array(64);
for (let j = 0; j < 64; j++) {
  const t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
  const by = j % 32;
  T[j] = by ? (t << by) | (t >>> (32 - by)) : t;
}

function compress(v, w, block, start) {
  for (let j = 0, at = start; j < 16; j++, at += 4) {
    w[j] = (block[at] << 24) | (block[at + 1] << 16) | (block[at + 2] << 8) | block[at + 3];
  }
  for (let j = 16; j < 68; j++) {
    const r15 = (w[j - 3] << 15) | (w[j - 3] >>> 17);
    const x = w[j - 16] ^ w[j - 9] ^ r15;
    const p1 = x ^ ((x << 15) | (x >>> 17)) ^ ((x << 23) | (x >>> 9));
    w[j] = p1 ^ ((w[j - 13] << 7) | (w[j - 13] >>> 25)) ^ w[j - 6];
  }
  let a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6], h = v[7];
  for (let j = 0; j < 64; j++) {
    const a12 = (a << 12) | (a >>> 20);
    const s = (a12 + e + T[j]) | 0;
    const ss1 = (s << 7) | (s >>> 25);
    const ss2 = ss1 ^ a12;
    const ff = j < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
    const gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g);
    const tt1 = (ff + d + ss2 + (w[j] ^ w[j + 4])) | 0;
    const tt2 = (gg + h + ss1 + w[j]) | 0;
    d = c;
    c = (b << 9) | (b >>> 23);
    b = a;
    a = tt1;
    h = g;
    g = (f << 19) | (f >>> 13);
    f = e;
    e = tt2 ^ ((tt2 << 9) | (tt2 >>> 23)) ^ ((tt2 << 17) | (tt2 >>> 15));
  }
  v[0] ^= a;
  v[1] ^= b;
  v[2] ^= c;
  v[3] ^= d;
  v[4] ^= e;
  v[5] ^= f;
  v[6] ^= g;
  v[7] ^= h;
}

export class Sm3 {
  constructor() {
    this.v = Int32Array.from(IV);
    this.w = new Int32Array(68);
    this.block = new Uint8Array(64);
    this.filled = 0;
    this.size = 0;
  }

  update(data) {
    let at = 0;
    this.size += data.length;
    if (this.filled) {
      const taken = Math.min(64 - this.filled, data.length);
      this.block.set(data.subarray(0, taken), this.filled);
      this.filled += taken;
      at = taken;
      if (this.filled < 64) return this;
      compress(this.v, this.w, this.block, 0);
      this.filled = 0;
    }
    for (; at + 64 <= data.length; at += 64) compress(this.v, this.w, data, at);
    this.block.set(data.subarray(at), 0);
    this.filled = data.length - at;
    return this;
  }

  /** The digest; the object must not be used after it. */
  digest() {
    const tail = new Uint8Array(this.filled < 56 ? 64 : 128);
    tail.set(this.block.subarray(0, this.filled));
    tail[this.filled] = 0x80;
    const view = new DataView(tail.buffer);
    view.setBigUint64(tail.length - 8, BigInt(this.size) * 8n);
    for (let at = 0; at < tail.length; at += 64) compress(this.v, this.w, tail, at);
    const out = new Uint8Array(32);
    const words = new DataView(out.buffer);
    this.v.forEach((word, i) => words.setInt32(4 * i, word));
    return out;
  }
}

export function sm3(data) {
  return new Sm3().update(data).digest();
}
