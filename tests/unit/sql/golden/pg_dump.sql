-- +goose Up
--
-- PostgreSQL database dump
--

\restrict 5nN7rZ0QqL2mGdXb1cV8

-- Dumped from database version 17.6
-- Dumped by pg_dump version 17.6

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: touch(); Type: FUNCTION; Schema: public; Owner: app
--

CREATE FUNCTION public.touch() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.at := now();
    RETURN NEW;
END;
$$;

CREATE FUNCTION public.twice(a integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT (a * 2);
END;

CREATE TABLE public.t (
    a integer NOT NULL,
    at timestamp with time zone DEFAULT now()
);

CREATE RULE log AS
    ON INSERT TO public.t DO ( INSERT INTO public.u (a)
  VALUES (new.a);
 NOTIFY t;
);

COPY public.t (a, at) FROM stdin;
1	\N
2	-- +goose Down
\.


--
-- PostgreSQL database dump complete
--

\unrestrict 5nN7rZ0QqL2mGdXb1cV8

-- +goose Down
DROP TABLE public.t CASCADE;
