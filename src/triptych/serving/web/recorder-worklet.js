/* Hand over the samples of the microphone as they come, the mean of its channels. */
class Recorder extends AudioWorkletProcessor {
  process([channels]) {
    if (channels?.length) {
      const samples = Float32Array.from(channels[0]);
      for (let place = 1; place < channels.length; place += 1) for (let at = 0; at < samples.length; at += 1) samples[at] += channels[place][at];
      if (channels.length > 1) for (let at = 0; at < samples.length; at += 1) samples[at] /= channels.length;
      this.port.postMessage(samples, [samples.buffer]);
    }
    return true;
  }
}
registerProcessor("recorder", Recorder);
