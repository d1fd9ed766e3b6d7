// Ask a server with the package openai of npm, for clients.py: node clients.mjs ADDRESS RUN,RUN,...
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';

const [address, names] = process.argv.slice(2);
const runs = names.split(',');
const client = new OpenAI({ baseURL: address + '/v1', apiKey: 'none', maxRetries: 0 });
const hello = [{ role: 'user', content: 'Say hello.' }];
const calls = {};

async function call(name, make) {
  try {
    calls[name] = (await make()) ? null : 'not what was expected';
  } catch (error) {
    calls[name] = String(error).slice(0, 300);
  }
}

await call('models', async () => (await client.models.list()).data.length === runs.length);
for (const model of ['decoder', 'translator'].filter((one) => runs.includes(one))) {
  const given = { model, prompt: 'Good morning. ', max_tokens: 12 };
  const whole = async () => (await client.completions.create(given)).choices[0];
  await call(`completions ${model}`, async () => (await whole()).finish_reason);
  await call(`completions ${model}, stream`, async () => {
    let text = '';
    for await (const part of await client.completions.create({ ...given, stream: true })) {
      text += part.choices[0].text;
    }
    return text === (await whole()).text;
  });
}
for (const model of ['chat', 'translator'].filter((one) => runs.includes(one))) {
  const given = { model, messages: hello, max_tokens: 12 };
  await call(`chat ${model}`, async () => {
    const found = await client.chat.completions.create(given);
    return found.choices[0].message.role === 'assistant';
  });
  await call(`chat ${model}, stream`, async () => {
    let parts = 0;
    for await (const part of await client.chat.completions.create({ ...given, stream: true })) {
      parts += part.choices.length;
    }
    return parts > 1;
  });
}
if (runs.includes('encoder')) {
  await call('embeddings encoder', async () => {
    const found = await client.embeddings.create({ model: 'encoder', input: ['a', 'b'] });
    return found.data.length === 2;
  });
}
const about = new URL('node_modules/openai/package.json', import.meta.url);
const version = JSON.parse(readFileSync(about)).version;
console.log('RESULT ' + JSON.stringify({ version, calls }));
