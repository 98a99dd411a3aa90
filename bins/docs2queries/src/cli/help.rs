//! The sections behind the flags, which are the man page's too.

pub(super) const SECTIONS: &str = "\
Generators:
  openai      asks a language model behind any OpenAI-compatible server for queries that the
              document answers, in the mix of kinds that --styles names.
  extractive  asks nobody: the title, key sentences, and the document's rarest terms. A sentence
              is left out of its document in 9 pairs of 10 (inverse cloze), so that a model
              cannot match the words alone. Titles and sentences that two documents share are no
              queries. The same input, seed and flags give the same bytes. What comes out is the
              document's own words, not a searcher's: good for trying things out and as a
              baseline, no substitute for a language model. Only -n and --seed apply to it.

Output:
  One pair a line, in the order of the documents: anchor (the query), positive (title and text,
  as they are embedded), anchor_id (the document's id with -q1, -q2 ...), positive_id (the
  document's id), group (the document's field of that name, else its id). The pairs of a document
  that was cut hold the passage as positive, the document's id as positive_id, and chunk (the
  passage's number, from 0), start and end (in characters of the document's text).

Dropped queries:
  empty, example (one of a pair in --examples, but for case and marks: small models repeat them),
  duplicate (the same as one that was kept, but for case and marks; or nearly the same: a
  Jaccard similarity of five-character pieces of at least 0.8 within a document and 0.9 across
  documents; never when numbers differ), copied (at least 7 words, 90 % of which stand in the
  passage as they are), reference (\"in this document\", \"according to the text\" and the like, in
  English, German, French, Spanish, Italian, Portuguese, Dutch and Polish; phrases that may mean
  something else, such as \"this agreement\" or \"does the text\", only where the passage does not
  itself speak of agreements or texts), language (not --language, or not the document's, where
  both can be told: not by words that the passage has too, nor, between Chinese, Japanese and
  Korean, by Han characters alone). --drop names those that count. Duplicates are looked for
  among the first million of queries. Besides, and whatever --drop says, a reply may lose
  queries: \"broken off\" at its end, or \"beyond the number asked for\".

Prompt:
  --show-prompt prints the template that is built in; a changed copy of it goes to --prompt. The
  template's blocks system and user are the two messages; without blocks, all of it is the
  user's. It may use title, text, id, n (the number of queries), styles (a list of count and
  what), language (none without --language) and examples (a list of text and queries).

Replies:
  What the model thought (<think> and its kin, harmony's channels, a section called Thinking
  Process) is taken off. What is left is read as JSON, valid or nearly so, complete or cut off,
  with anything around it: first what is called queries, at any depth, then questions or the
  like, then objects with a query or question each (JSON Lines too), then a list; of several
  values of a kind the last complete one, because those before it are drafts. A schema or a
  placeholder (\"...\") is no answer. Without JSON, XML elements (<query>), a table, a list with
  numbers or bullets, or lines are read, without the words around them.

Journal:
  With --journal FILE each reply of the server is on disk before it is used. A second run with
  the same file takes the replies from there and asks only for what is missing, so an interrupted
  or failed run is continued by repeating its command. A reply is found again by the passage's
  title and text, the prompt, the model and its parameters; documents with the same text share one.
  A reply in which there is no query (an empty or refused one, one that moderation stopped or that
  broke off) is paid for and counts as spent, but it is no answer: the next run asks once more, and
  says for how many. Who gives nothing twice is not asked again; the message names the key whose
  lines must be deleted for another try. So it is in journals of earlier versions.
  A line that was cut off by a crash is repaired. To ask again for one document, delete its line
  with reply. The form of the file is in embtune-formats(5).

Cost:
  Before a request goes out, the most that it can cost is set aside: as many tokens as the
  request has bytes, and a reply of --max-completion-tokens (or the model's longest). When the
  answer is there, the tokens that the server counts take that place, reasoning included, also
  where it stands in the total alone; if it counts none, what was set aside does. A request that
  was turned away costs nothing; one that timed out or broke off counts in full. What is spent
  and set aside never exceeds --max-usd and --max-tokens. With a journal that holds over all runs
  with it, so a repeated command has the same cap: what is set aside stands there, on disk,
  before the request goes out, and what a run had in flight when it was killed (--concurrency and
  a quarter at most) counts in full from then on. What was paid without a known price counts at
  today's. When a cap is reached, nothing more is asked, what is there is written, and the exit
  code is 1. A server that writes more than --max-completion-tokens, or counts otherwise than it
  charges, can exceed a cap.

  Prices are known of OpenAI's models at OpenAI (November 2026), with the tenth that its regions
  add (eu.api.openai.com and others) for models since GPT-5.4, and with the quarter that models
  since GPT-5.6 add for what they write to their cache, as if that were all of the prompt;
  without discounts for what was cached, and without what prompts of more than 272,000 tokens
  cost more. Batches cost half. Elsewhere, at Azure too, and where they have changed, --price-in
  and --price-out say them: 0 for a server of one's own, and for batches what batches cost. A cap
  in dollars without a price is refused. --dry-run says \"about\" (four letters a token, 20 tokens
  a query) and \"at most\" (what would be set aside). The progress line shows tokens and dollars so
  far.

Pace:
  --rpm and --tpm are spread evenly over the minute. What the server says in x-ratelimit headers,
  or in Anthropic's, holds too; a reset may be a duration, a time since 1970 or a date. One that
  is over, or would let less than one request a minute through, is not believed: the limit is one
  of a minute then, until the server refuses a request. After a 429, 503 or 529 no request goes
  out until the pause is over that the server asks for, and half as many are in flight then; each
  round that goes well adds one. Every wait of more than 5 s is said.

Errors of the server:
  408, 409, 425, 429, 5xx, time-outs and lost connections are retried, with growing random pauses
  (60 s at most), or after the pause that the server asks for: in Retry-After, retry-after-ms, its
  words (\"try again in 20s\"), Google's retryDelay, or the reset of a limit that is used up. A
  pause of more than an hour is a day's quota: the filter ends and says when it is over.
  x-should-retry is heeded. Other errors stop the filter at once. An error that comes under status
  200, at the top or inside of a choice, is the error that it is; a code may be a number, a text
  (\"401\") or a word (rate_limit_exceeded). What is there of a reply that an error broke off is not
  used. Half a character (a lone surrogate, a byte that is no UTF-8) is read as U+FFFD and counted.

  A document that is too long for the model, that moderation turns away, that the model refuses or
  gives no usable answer for, or that the server does not answer about in all attempts, is a bad
  record (--on-error), and so is an answer without end, which is cut off after 8 MiB. With skip, the
  others go on, and the end of the run says how many passages have no queries for which reason.
  Servers tell these errors in words; those of OpenAI, Azure, vLLM, SGLang, TGI, llama.cpp, Ollama,
  LM Studio, Anthropic, Mistral, Gemini, OpenRouter, DashScope and others like them are known. Any
  other 400 or 422 is the document's when the server has taken a document before, and else the end.

  Where a server refuses max_tokens, max_completion_tokens, temperature or response_format, it is
  asked again in other words, at once: with the limit's other name, without the temperature, or
  for the form of the reply in the prompt only. That is said, and no document is lost.

Batches:
  --batch uploads the requests that the journal has no reply to, in files of at most 50,000,
  waits, and writes the pairs. How far it got stands in the journal: the same command collects
  what an interrupted one has sent. What a batch had done when it expired, failed or was cancelled
  is kept, and asked for no more; the exit code is then 1, and the same command sends the rest. A
  line of the results that cannot be read costs itself only. Results that are empty or not whole
  are fetched again, twice. Requests of which nothing is told then, and those of a batch or a
  result file that is no longer at the server (404), are sent again, and count as spent with the
  most that they can have cost. A request that the server refused for what its document
  says or how long it is makes the document a bad record, and is sent once more in all. While
  batches are under way, the same journal serves no requests one by one. --emit-batch writes the
  requests to a file for any other program that takes them, such as vllm run-batch, and
  --ingest-batch reads its results, with the same flags as before; a file that is read twice is
  paid for once.

Memory:
  openai      4 times --concurrency passages; 40 bytes for each reply in the journal; 350 bytes
              for each query, up to a million; 8 MiB for an answer; result files of batches lie
              in the folder for temporary files
  extractive  the whole input, because the rarity of a term is known at the end only

Environment:
  OPENAI_API_KEY     the key; never logged, and not needed by a server that asks for none. Azure
                     gets it as api-key, in all of its clouds (azure.com, azure.us, azure.cn);
                     GitHub Models and all others get it as Authorization: Bearer, as Azure gets
                     tokens of Entra ID
  OPENAI_BASE_URL    where --base-url is not given
  OPENAI_ORG_ID, OPENAI_PROJECT_ID
                     who pays, for accounts that belong to several
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
                     the way to the server: a proxy of the kind http, https, socks4, socks4a,
                     socks5 or socks5h, and what is reached without; other values are errors

Examples:
  docs2queries --llm gpt-4o-mini --dry-run corpus.jsonl
  docs2queries --llm gpt-4o-mini --max-usd 5 --journal replies.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --llm gpt-4o-mini --batch --journal replies.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --llm qwen3 --base-url http://localhost:11434/v1 -n 3 < corpus.jsonl | head
  docs2queries --llm qwen3 --emit-batch corpus.jsonl -o requests.jsonl
  docs2queries --llm qwen3 --ingest-batch results.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --generator extractive corpus.jsonl -o pairs.jsonl
";
