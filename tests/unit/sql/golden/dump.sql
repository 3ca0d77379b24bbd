-- +goose Up
\restrict abc
SELECT pg_catalog.set_config('search_path', '', false);
COPY public.t (a, b) FROM stdin;
1	one;
2	-- +goose Down
\.
COPY public.u FROM stdin WITH (FORMAT csv); -- rows follow
\.
SELECT 1;
-- +goose Down
TRUNCATE public.t;
