// Blocks of 40 ms of the microphone, as 16 bit PCM.
class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate * 0.04));
    this.filled = 0;
  }

  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice().buffer);
        this.filled = 0;
      }
    }
    return true;
  }
}
registerProcessor("pcm", Pcm);
