/* Record the microphone as a WAV file. The sound stays in this page until it is sent to the server that it came from. */

/** Return samples between -1 and 1 as a WAV file, 16 bits, one channel. */
export function wav(parts, rate) {
  const count = parts.reduce((sum, one) => sum + one.length, 0), view = new DataView(new ArrayBuffer(44 + 2 * count));
  const write = (at, text) => { for (let place = 0; place < text.length; place += 1) view.setUint8(at + place, text.charCodeAt(place)); };
  write(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); write(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  write(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const part of parts) for (const sample of part) { view.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true); at += 2; }
  return new Blob([view], { type: "audio/wav" });
}

/** Begin to record; returns stop(), which gives the file. heard(seconds) is told how long it is. */
export async function record(heard) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  const context = new AudioContext(), parts = [];
  try {
    await context.audioWorklet.addModule("/static/recorder-worklet.js");
    const source = context.createMediaStreamSource(stream), recorder = new AudioWorkletNode(context, "recorder");
    let count = 0;
    recorder.port.onmessage = ({ data }) => { parts.push(data); count += data.length; heard(count / context.sampleRate); };
    source.connect(recorder);
    recorder.connect(context.destination); // its output is silent; without it some browsers do not run it
  } catch (error) {
    stream.getTracks().forEach((one) => one.stop());
    await context.close();
    throw error;
  }
  return async () => {
    stream.getTracks().forEach((one) => one.stop());
    const { sampleRate } = context;
    await context.close();
    return wav(parts, sampleRate);
  };
}
