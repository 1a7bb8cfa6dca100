// Has the official command line take the simulated API for https://vercel.com, whose address it
// does not let anybody choose; nothing else is asked.
const simulated = process.env.SIMULATED_VERCEL;
const vercel = "https://vercel.com";
const send = globalThis.fetch;

globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.origin === vercel) {
    const answer = await send(simulated + url.pathname + url.search, init);
    const text = (await answer.text()).replaceAll(simulated, vercel);
    return new Response(text, { status: answer.status, headers: answer.headers });
  }
  if (url.origin !== simulated) {
    process.stderr.write(`asked elsewhere: ${url.origin}\n`);
    throw new TypeError("fetch failed");
  }
  return send(input, init);
};
